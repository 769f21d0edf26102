"""The command line; the only room that prints, shows progress or exits."""

from .app import main as main
