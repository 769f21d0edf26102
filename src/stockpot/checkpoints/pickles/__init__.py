"""Pickles are scanned before they are read: what they would build, name and cost, byte by byte."""
