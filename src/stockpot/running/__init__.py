"""Running tasks at once."""
