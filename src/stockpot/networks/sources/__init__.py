"""A network from wherever it comes: a built-in name, a library, a directory, a user's function."""
