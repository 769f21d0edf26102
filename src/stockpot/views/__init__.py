"""A checkpoint as its network uses it: computed when it is read, never written."""
