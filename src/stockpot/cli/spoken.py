"""The command that is run, in the words of a shell: what a page tells its readers to repeat."""

import shlex
from collections.abc import Sequence
from contextvars import ContextVar

_TOKENS: ContextVar[tuple[str, ...]] = ContextVar("tokens", default=())
_SILENT = frozenset({"--json", "--quiet", "--resume", "--overwrite"})
"""Flags that change nothing of what is found."""


def remember(tokens: Sequence[str]) -> None:
    """What the command line is."""
    _TOKENS.set(tuple(tokens))


def spoken() -> str:
    """The command line, to be typed again; '' where there is none."""
    words = [one for one in _TOKENS.get() if one not in _SILENT]
    return shlex.join(["stockpot", *words]) if words else ""
