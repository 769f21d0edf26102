"""The views that a user may choose, one file each."""
