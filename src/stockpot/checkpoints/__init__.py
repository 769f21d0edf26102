"""Weights on disk: readers, roles, the writer and its manifest."""
