"""Optional dependencies, imported at the point of use."""

from importlib import import_module
from typing import Any

from .errors import ExtraError


def optional(module: str, extra: str = "lab") -> Any:
    """Import a module that an extra of stockpot brings.

    Raises:
        ExtraError: naming the install line, where the module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ExtraError(
            f"'{package}' is needed here and is not installed: pip install 'stockpot[{extra}]'"
        ) from None
