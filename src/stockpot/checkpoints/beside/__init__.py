"""What lies beside the weights and says what they mean: configuration, tokenizer, templates, code.

`files` reads small files of a stranger's folder within bounds; `config` and `tokens` compare what
models say of themselves; `groups` decides which model gives the output which files; `agreement`
makes what is written agree with the tensors.
"""
