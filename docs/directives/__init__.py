"""What Sphinx makes of the package itself: its names, its commands, its docstrings, its figures."""
