"""Bytes of computed tensors: what is asked for is computed, within the memory of a tile."""
