"""Libraries that only some networks come from, imported at the point of use."""

from importlib import import_module
from typing import Any

from ..errors import ExtraError


def library(module: str, extra: str) -> Any:
    """Import a module that an extra of stockpot brings.

    Raises:
        ExtraError: naming the install line, where the module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:  # it is there, and lacks something of its own
            raise
        raise ExtraError(
            f"'{module}' is needed here and is not installed: pip install 'stockpot[{extra}]'"
        ) from None
