"""The recipe as its YAML writes it: what may stand in it, and what a search may change of it."""
