"""What is imported when it is first used: PyTorch, and the names that a package hands on.

Importing PyTorch takes two seconds. What only describes methods (their list, help, completion of
the command line) uses none of it, so core, ops and methods take it from here; `torch.dtype` is
quoted in their annotations, which would use it.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Tensor", "lazy_names", "torch"]

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:

    class _Torch:
        """Stands for the module: its attributes are kept here once they were asked for."""

        def __getattr__(self, name: str) -> Any:
            import torch

            value = getattr(torch, name)
            setattr(self, name, value)
            return value

    class _OfTorch(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, torch.Tensor)

    class Tensor(metaclass=_OfTorch):
        """Stands for torch.Tensor in annotations."""

    Tensor.__module__ = "torch"
    torch = _Torch()


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package that hands on names of its modules.

    Args:
        package: its `__name__`.
        modules: for each module, relative to the package, the names that it has, between spaces.

    Example:
        >>> of_package, listed = lazy_names("stockpot.values", {"bounds": "bounded", "fields": ""})
        >>> listed()
        ['bounded']
    """
    where = {name: module for module, names in modules.items() for name in names.split()}

    def ask(name: str) -> object:
        if name not in where:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(f".{where[name]}", package), name)

    return ask, lambda: sorted(where)
