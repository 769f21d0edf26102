"""Several methods over the same models at once: their surveys, what they settle, their merges.

What is equal is found once: methods that read the same fields settle alike, and those whose survey
reads the same fields share its facts while they have the same hint.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import overload

from ..core import Facts, Method, Reach, Settled, Stack
from ..lazy import Tensor

Parts = Sequence[Settled | None]
"""What each method has settled so far."""


@dataclass(frozen=True, slots=True)
class Abreast:
    """Facts of several methods: the different ones, and for each method which are its own."""

    found: tuple[Facts, ...]
    of: tuple[int | None, ...]

    def join(self, other: "Abreast") -> "Abreast":
        """Facts of both, method by method; the same methods were surveyed."""
        pairs = zip(self.found, other.found, strict=True)
        return Abreast(tuple(one.join(two) for one, two in pairs), self.of)

    def close(self) -> "Abreast":
        """The same facts in little memory."""
        return Abreast(tuple(facts.close() for facts in self.found), self.of)


def settlers(methods: Iterable[Method]) -> tuple[tuple[Method, ...], tuple[int | None, ...]]:
    """Methods that settle for all of them, and for each which does: None at the reach of ELEMENT.

    Example:
        >>> from stockpot.methods import Ties
        >>> some, of = settlers([Ties(scale=1.0), Ties(scale=2.0), Ties(density=0.5)])
        >>> len(some), of
        (2, (0, 0, 1))
    """
    keys, some, of = list[object](), list[Method](), list[int | None]()
    for method in methods:
        if method.needs.reach is Reach.ELEMENT:
            of.append(None)
            continue
        key = settles_as(method)
        if key not in keys:
            keys.append(key)
            some.append(method)
        of.append(keys.index(key))
    return tuple(some), tuple(of)


def settles_as(method: Method) -> object:
    """What is equal for methods that settle alike: their kind, and the fields that settling reads.

    Example:
        >>> from stockpot.methods import Ties
        >>> settles_as(Ties(scale=1.0)) == settles_as(Ties(scale=2.0))
        True
    """
    return _read(method, method.costs.settle_reads)


def _read(method: Method, names: tuple[str, ...] | None) -> object:
    if names is None:
        return method
    return type(method), tuple(getattr(method, name) for name in names)


def is_final(part: Settled | None) -> bool:
    """Whether there is nothing more to survey."""
    return part is not None and part.final


def survey_abreast(methods: Sequence[Method], stack: Stack, parts: Parts) -> Abreast:
    """Facts of one block for those methods that have not settled; of a sample where they take one.

    Args:
        methods: as `settlers` gives them.
        stack: the block.
        parts: what each has settled so far, its hint; more may follow.
    """
    asked, found, of = list[object](), list[Facts](), list[int | None]()
    if stack.facts_room is not None:
        stack = replace(stack, facts_room=stack.facts_room // len(methods))
    for method, part in zip(methods, parts, strict=False):
        if is_final(part) or (stack.runs and not method.needs.sample):
            of.append(None)
            continue
        question = (_read(method, method.costs.survey_reads), part)
        if question not in asked:
            asked.append(question)
            found.append(method.survey(stack, part))
        of.append(asked.index(question))
    return Abreast(tuple(found), tuple(of))


def settle_abreast(
    methods: Sequence[Method], facts: Abreast, parts: Parts
) -> tuple[Settled | None, ...]:
    """What each has settled now; those without new facts keep what they had."""
    settled = list(parts)
    for i, at in enumerate(facts.of):
        if at is not None:
            settled[i] = methods[i].settle(facts.found[at], parts[i])
    return tuple(settled)


class Merges(Sequence[Tensor]):
    """The merges of one block by several methods, and after them some of its models, as rows.

    Lazy: a merge is made whenever it is asked for, and never kept.
    """

    def __init__(
        self, methods: Sequence[Method], settled: Parts, stack: Stack, *, with_models: bool
    ) -> None:
        self._makers = tuple(zip(methods, settled, strict=True))
        self._stack = replace(stack, aside=None)  # a merge may be made more than once
        self._models = stack.models if with_models else ()

    def __len__(self) -> int:
        return len(self._makers) + len(self._models)

    @property
    def fresh(self) -> bool:
        """Whether every row is new memory each time that it is asked for."""
        return self._stack.fresh or not self._models

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if at >= len(self._makers):
            return self._models[at - len(self._makers)]
        method, settled = self._makers[at]
        return method(self._stack, settled)
