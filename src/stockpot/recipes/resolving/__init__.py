"""From a recipe and open checkpoints to what each output tensor is made of, and why."""
