"""Connectivity: lines, curves and planes between networks, and what lies there."""
