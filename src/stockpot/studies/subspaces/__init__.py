"""Interference: whether the row spaces of task vectors get in each other's way."""
