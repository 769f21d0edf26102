"""The built-in networks, and each from its name."""
