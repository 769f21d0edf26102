"""Scopes and conflicts: statistics of checkpoints of any size, from one pass over them."""
