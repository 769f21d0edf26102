"""What options of several readers may be."""

from typing import Annotated, Literal

from annotated_types import Ge, Le

Size = Annotated[int, Ge(1), Le(4096)]
"""Pixels along a side."""

Channels = Literal[1, 3]
"""1 for grey, 3 for colour."""
