"""Averaged weights against averaged features, layer by layer."""
