"""What one reader of pickles admits: names, what they may be called with, and operations."""

from collections.abc import Callable
from dataclasses import dataclass

from .budget import Budget
from .shapes import Shape

Rule = Callable[[list[object], Budget], object]
"""What a call gives: takes its arguments, and raises PickleError where they are refused."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A reader of pickles, as a scan has to know it.

    Attributes:
        rule: the full name of a global -> what a call of it gives; None where it is refused.
        operations: opcodes that the reader knows; None for all of Python's.
        persistent: what a persistent id stands for; None where there are none.
        built: may refuse what a state is set on (BUILD); all but objects are refused already.
    """

    rule: Callable[[str], Rule | None]
    operations: frozenset[int] | None = None
    persistent: Callable[[object, Budget], Shape] | None = None
    built: Callable[[Shape, object, Budget], None] | None = None
