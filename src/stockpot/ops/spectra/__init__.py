"""What matrices are made of: Gram matrices, leading directions, polar factors, noise."""
