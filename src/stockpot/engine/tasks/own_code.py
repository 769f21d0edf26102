"""A method's steps as the engine calls them: what a user's own one raises is said in a sentence.

What goes wrong in a method of stockpot's is a bug of ours, and stays what it is.
"""

from collections.abc import Generator
from contextlib import contextmanager

from torch import Tensor

from ...core import Facts, Method, Settled, Stack
from ...errors import MergeError, StockpotError
from ...functions import failure
from ...methods.own import is_own


def mapped(method: Method, stack: Stack, settled: Settled | None, shape: tuple[int, ...]) -> Tensor:
    """The merged block, of that shape.

    Raises:
        MergeError: a user's own method fails, or gives something else.
    """
    with _said(method, stack.name):
        merged = method(stack, settled)
        if merged.shape != shape or not merged.dtype.is_floating_point:
            raise ValueError(
                f"expected floating-point numbers of the rows' shape {shape}; got "
                f"{tuple(merged.shape)} {merged.dtype}"
            )
    return merged


def surveyed(method: Method, stack: Stack, hint: Settled | None) -> Facts:
    """Facts of a block.

    Raises:
        MergeError: a user's own method fails.
    """
    with _said(method, stack.name):
        return method.survey(stack, hint)


def settled(method: Method, facts: Facts, hint: Settled | None, name: str) -> Settled:
    """What is settled of a tensor, or of several, by its name.

    Raises:
        MergeError: a user's own method fails.
    """
    with _said(method, name):
        return method.settle(facts, hint)


@contextmanager
def _said(method: Method, name: str) -> Generator[None]:
    try:
        yield
    except StockpotError:
        raise
    except Exception as error:  # it is the user's code: anything may come
        if not is_own(method):
            raise
        raise MergeError(f"{method!r:.120} failed on '{name}' with {failure(error)}") from error
