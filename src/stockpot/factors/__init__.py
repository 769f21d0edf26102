"""CART's factors on disk: decomposed once, merged at any rank and scale, kept for a search."""
