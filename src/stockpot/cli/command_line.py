"""The command line itself: what is wrong with it, and its words, for readers to type again.

What the command line alone shows to be wrong ends with exit code 2, all else with 1.
"""

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import StockpotError

_TOKENS: ContextVar[tuple[str, ...]] = ContextVar("tokens", default=())
_SILENT = frozenset({"--json", "--quiet", "--resume", "--overwrite"})
"""Flags that change nothing of what is found."""


class UsageError(StockpotError):
    """The command line itself is wrong, whatever the files hold."""


@contextmanager
def told_by_the_command_line() -> Generator[None]:
    """Errors within were visible before any file was opened."""
    try:
        yield
    except StockpotError as error:
        raise UsageError(str(error)) from None


def remember(tokens: Sequence[str]) -> None:
    """What the command line is."""
    _TOKENS.set(tuple(tokens))


def spoken() -> str:
    """The command line, to be typed again; '' where there is none."""
    words = [one for one in _TOKENS.get() if one not in _SILENT]
    return shlex.join(["stockpot", *words]) if words else ""
