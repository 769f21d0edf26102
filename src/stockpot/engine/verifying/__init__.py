"""What `verify` looks at: files, tensors, configuration against tensors, the repeated merge."""
