"""What the command line alone shows to be wrong ends with exit code 2, all else with 1."""

from collections.abc import Generator
from contextlib import contextmanager

from ..errors import StockpotError


class UsageError(StockpotError):
    """The command line itself is wrong, whatever the files hold."""


@contextmanager
def told_by_the_command_line() -> Generator[None]:
    """Errors within were visible before any file was opened."""
    try:
        yield
    except StockpotError as error:
        raise UsageError(str(error)) from None
