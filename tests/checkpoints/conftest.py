"""Hostile pickles are those of the campaign, which is imported from the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
