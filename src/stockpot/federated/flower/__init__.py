"""Flower as the engine: the same clients and server as apps of its simulation and deployment."""

from .simulation import simulation as simulation
