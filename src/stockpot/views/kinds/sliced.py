"""Blocks of one or several models under new numbers: depth changed, models put on one another."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import shown
from ...checkpoints.names.series import Series, all_series, find_series
from ...checkpoints.roles import Role, role_of
from ...errors import FieldError
from ...values.fields import check_fields
from ..view import View, made_of

RANGE = re.compile(r"(?:([0-9]{1,4})@)?([0-9]{1,6}):([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Sliced(View):
    """Blocks of a model, and of others, one after the other under new numbers from 0.

    Outside the blocks, embeddings are those of the model that the first blocks come from; all else,
    such as the last norm and the head, of the one that the last blocks come from.

    Args:
        layers: ranges of blocks, START:STOP, from START on and before STOP, by their numbers in
            the names; 1@START:STOP are blocks of the first of `others`, 2@ of the second.
        others: paths of further models.
        stack: what stands before the numbers of the blocks, such as model.layers; by default the
            longest numbered series of each model.

    Example:
        >>> import torch
        >>> from stockpot.checkpoints.entry import from_state_dict
        >>> model = from_state_dict({f"h.{i}.w": torch.tensor([i]) for i in range(3)}, "m")
        >>> seen = Sliced(layers=("0:1", "1:3", "1:3"))(model)
        >>> [int(entry.load()) for entry in seen.entries.values()]
        [0, 1, 2, 1, 2]
    """

    beside_fields = ("others",)

    layers: tuple[str, ...]
    others: tuple[str, ...] = ()
    stack: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.layers:
            raise FieldError("sliced: layers needs at least one range of blocks.")
        for text in self.layers:
            match = RANGE.fullmatch(text)
            if match is None or int(match[2]) >= int(match[3]):
                raise FieldError(
                    f"sliced: layers must be START:STOP, START below STOP, or K@START:STOP of the "
                    f"K-th of others; got '{text[:80]}'."
                )

    @property
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Of each range the number of the model, 0 for the one that is seen, start and stop."""
        found = [RANGE.fullmatch(text) for text in self.layers]
        return tuple((int(m[1] or 0), int(m[2]), int(m[3])) for m in found if m)

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint of those blocks.

        Raises:
            CheckpointError: a model or block that is not there, models without blocks, or tensors
                outside the blocks that stand in each other's way.
        """
        models = (checkpoint, *others)
        for k, start, stop in self.ranges:
            if k >= len(models):
                raise self.refusal(
                    checkpoint,
                    f"layers has blocks {start} to {stop - 1} of model {k} of others, which are "
                    f"{len(others)}.",
                )
        series = [self._series(model) for model in models]
        prefix = series[self.ranges[0][0]].prefix
        entries = dict[str, TensorEntry]()
        for name, entry in self._outside(models, series, head=True):
            entries[name] = entry
        number = 0
        for k, start, stop in self.ranges:
            self._check(models[k], series[k], start, stop)
            blocks = _blocks(models[k], series[k])
            for block in range(start, stop):
                for rest, entry in blocks[block]:
                    name = f"{prefix}{number}{rest}"
                    entries[name] = _named(entry, name)
                number += 1
        for name, entry in self._outside(models, series, head=False):
            entries[name] = entry
        return made_of(checkpoint, _aliased(entries), *others)

    def _series(self, model: Checkpoint) -> Series:
        if self.stack is None:
            found = find_series(model.entries)
        else:
            every = all_series(model.entries)
            wanted = (self.stack, self.stack.rstrip("."))
            found = next((s for s in every if s.prefix.rstrip(".") in wanted), None)
        if found is None:
            what = "" if self.stack is None else f" called {shown(self.stack)}"
            raise self.refusal(model, f"it has no numbered series of blocks{what}.")
        return found

    def _check(self, model: Checkpoint, series: Series, start: int, stop: int) -> None:
        missing = [block for block in range(start, stop) if block not in series.numbers]
        if missing:
            raise self.refusal(model, f"there is no block {missing[0]}; there are {series}.")

    def _outside(
        self, models: Sequence[Checkpoint], series: Sequence[Series], *, head: bool
    ) -> Iterator[tuple[str, TensorEntry]]:
        """Tensors outside the blocks: embeddings of the first model, all else of the last."""
        number = self.ranges[0 if head else -1][0]
        model, own = models[number], series[number].positions(models[number].entries)
        for name, entry in model.entries.items():
            first = model.entries.get(entry.alias_of or "", entry)
            if (
                name not in own
                and (role_of(replace(first, alias_of=None)) is Role.EMBEDDING) == head
            ):
                yield name, entry


def _blocks(model: Checkpoint, series: Series) -> dict[int, list[tuple[str, TensorEntry]]]:
    """By number the tensors of a block, each with what stands after the number."""
    found: dict[int, list[tuple[str, TensorEntry]]] = {number: [] for number in series.numbers}
    for name, position in series.positions(model.entries).items():
        number = series.numbers[position]
        rest = name.removeprefix(series.prefix).lstrip("0123456789")
        found[number].append((rest, model.entries[name]))
    return found


def _named(entry: TensorEntry, name: str) -> TensorEntry:
    if entry.name == name:
        return entry
    return replace(entry, name=name, alias_of=None, made_of=(entry,))


def _aliased(entries: dict[str, TensorEntry]) -> dict[str, TensorEntry]:
    """Names are tied to the first that has the very same bytes, wherever it stands now."""
    first, found = dict[tuple[int, int, tuple[int, ...]], str](), dict[str, TensorEntry]()
    for name, entry in entries.items():
        tied = entry.alias_of is not None and entry.alias_of in entries
        own = first.setdefault((id(entry.source), entry.offset, entry.shape), name)
        alias = own if tied and own != name else None
        found[name] = entry if entry.alias_of == alias else replace(entry, alias_of=alias)
    return found
