"""Magnitude: a factor on all weights, other disturbances, and what the bounds say."""
