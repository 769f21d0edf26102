"""One network fitted to data, resumable after each epoch."""
