"""The tasks of an experiment that merges across tasks: one body, and for each a head of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from ..errors import FieldError
from ..values.bounds import Count, Index, Text
from ..values.section import Section
from .cells import SpecEntry

RESERVED = ("base", "joint", "all-tasks")
"""Names that files and rows have for what belongs to no one task."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")

Pixels = Annotated[int, Ge(-4096), Le(4096)]
Side = Annotated[int, Ge(1), Le(4096)]
Turn = Annotated[float, Ge(-360), Le(360)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Section):
    """By how many pixels images are moved; negative is left or up."""

    right: Pixels = 0
    down: Pixels = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec(Section):
    """One task: its data, and how they are seen.

    Views are applied after the split and in this order, so that tasks of one data set with one
    split have the same samples in the same part, each in its own view.

    Attributes:
        name: of its file and its rows.
        data: a name, or a mapping of `name` and the reader's own keys.
        domain: only the samples of this domain.
        classes: only the samples of these, by number, after the limit; the head keeps all classes.
        limit: train on about so many samples; the split's limit where it is not given.
        judge_limit: select and test on about so many samples at most.
        size: pixels along a side that images are brought to.
        channels: 1 makes images grey, 3 gives grey ones three equal channels.
        rotate: degrees anticlockwise.
        shift: pixels.
        invert: light for dark.
        epochs: of its ingredient, where they are not those of all.
        weights: a MODEL that is its ingredient as it stands; nothing is trained for it.
        head: the network's own key `head`, for networks that bring a head for each task.
    """

    name: Text
    data: SpecEntry
    domain: Text | None = None
    classes: tuple[Index, ...] = ()
    limit: Count | None = None
    judge_limit: Count | None = None
    size: Side | None = None
    channels: Literal[1, 3] | None = None
    rotate: Turn = 0.0
    shift: Move = Move()
    invert: bool = False
    epochs: Count | None = None
    weights: Text | None = None
    head: Text | None = None

    def check(self) -> None:
        """Refuse what does not go together."""
        if not _NAME.fullmatch(self.name) or self.name in RESERVED:
            raise FieldError(
                f"name: letters, digits, hyphens and underscores, at most 60, and none of "
                f"{', '.join(RESERVED)}; got '{self.name[:80]}'."
            )
        if self.weights and self.epochs:
            raise FieldError(f"{self.name}: with weights nothing is trained; leave epochs out.")


def refuse_tasks(tasks: Sequence[TaskSpec]) -> None:
    """Too few tasks, or several of one name.

    Raises:
        FieldError: which.
    """
    names = [task.name for task in tasks]
    twice = [name for name in names if names.count(name) > 1]
    if len(names) < 2:
        raise FieldError(f"tasks: give two or more; got {len(names)}.")
    if twice:
        raise FieldError(f"tasks: '{twice[0]}' stands twice.")
