"""Outputs of language models load with transformers, their tokenizers too."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stockpot.engine.merge import merge_to, run_recipe
from stockpot.methods import Average
from stockpot.recipes.reading.recipe import parse_recipe

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

IM = ["<|im_start|>", "<|im_end|>"]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model, and one whose embedding has more rows."""
    folder = tmp_path_factory.mktemp("llamas")
    vocab = {word: row for row, word in enumerate(["a", "b", "c", "<s>", "</s>", *IM])}
    for seed, (name, rows) in enumerate((("chat", 7), ("wide", 12))):
        torch.manual_seed(seed)
        config = transformers.LlamaConfig(
            vocab_size=rows, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=True,
            bos_token_id=3, eos_token_id=4, pad_token_id=None,
        )  # fmt: skip
        network = transformers.LlamaForCausalLM(config)
        network.generation_config.eos_token_id = [4, 6]
        network.save_pretrained(folder / name)
        words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="a"))
        words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=words, bos_token="<s>", eos_token="</s>", additional_special_tokens=IM
        )
        tokenizer.chat_template = "<|im_start|>{{ messages[0].content }}"
        tokenizer.save_pretrained(folder / name)
    return folder


def loaded(out: Path) -> tuple[Any, Any]:
    network = transformers.AutoModelForCausalLM.from_pretrained(out)
    return network, transformers.AutoTokenizer.from_pretrained(out)


def test_an_embedding_of_more_rows_loads(family: Path, tmp_path: Path) -> None:
    models = [str(family / "chat"), str(family / "wide")]
    rules = [{"match": "*embed_tokens*", "copy": models[1]}]
    recipe = parse_recipe({"method": "average", "models": models, "rules": rules})
    run_recipe(recipe, tmp_path / "out")
    network, tokenizer = loaded(tmp_path / "out")
    assert network.config.vocab_size == 12
    assert network.get_input_embeddings().weight.shape[0] == 12
    assert network.lm_head.weight is network.get_input_embeddings().weight
    assert tokenizer("a c").input_ids == [0, 2]


def test_a_merge_of_chat_models_speaks_their_template(family: Path, tmp_path: Path) -> None:
    models = [family / "chat", family / "chat"]
    merge_to(tmp_path / "out", models, Average(), dtype="bfloat16")
    network, tokenizer = loaded(tmp_path / "out")
    assert network.dtype is torch.bfloat16
    assert network.generation_config.eos_token_id == [4, 6]
    text = tokenizer.apply_chat_template([{"role": "user", "content": "b"}], tokenize=False)
    assert text == "<|im_start|>b"
    assert network.generate(torch.tensor([[0, 1]]), max_new_tokens=2).shape[0] == 1
