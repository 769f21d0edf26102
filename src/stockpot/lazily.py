"""PyTorch, imported when it is first used.

Importing it takes two seconds. What only describes methods (their list, help, completion of the
command line) uses none of it, so core, ops and methods take it from here; `torch.dtype` is quoted
in their annotations, which would use it.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["Tensor", "torch"]

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
