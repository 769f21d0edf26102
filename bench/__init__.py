"""Measurements of stockpot against mergekit and against the disk itself."""
