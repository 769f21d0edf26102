"""Formats of files: each is read where it lies, within bounds, and never run."""
