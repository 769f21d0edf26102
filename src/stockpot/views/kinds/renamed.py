"""Tensors under other names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import shown
from ...values.fields import nearest
from ..view import View, made_of


@dataclass(frozen=True, slots=True)
class Renamed(View):
    """A checkpoint whose tensors go by other names; their bytes are read where they lie.

    For each tensor the first name or pattern that matches its whole name counts. Each `*` of a
    pattern stands for any text, dots too, and the `*`s of its new name for the same texts in their
    order. What nothing matches keeps its name.

    Args:
        names: name or pattern -> new name, such as {"model.language_model.*": "model.*"}.

    Example:
        >>> import torch
        >>> from stockpot.checkpoints.entry import from_state_dict
        >>> model = from_state_dict({"net.a.w": torch.ones(1)}, "m")
        >>> list(Renamed({"net.*.w": "*.weight"})(model).entries)
        ['a.weight']
    """

    names: Mapping[str, str]

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint under its new names.

        Raises:
            CheckpointError: a pattern matches no tensor, its new name has another number of `*`, or
                two tensors would have one name.
        """
        self.expect_beside(checkpoint, others, 0)
        patterns = {old: self._pattern(checkpoint, old, new) for old, new in self.names.items()}
        moved, used = dict[str, str](), set[str]()
        for name in checkpoint.entries:
            for old, pattern in patterns.items():
                if match := pattern.fullmatch(name):
                    moved[name] = _filled(self.names[old], match.groups())
                    used.add(old)
                    break
        if unused := [old for old in self.names if old not in used]:
            near = nearest(unused[0], checkpoint.entries)
            raise self.refusal(checkpoint, f"no tensor matches {shown(unused[0])}{near}")
        return under_names(self, checkpoint, moved)

    def _pattern(self, checkpoint: Checkpoint, old: str, new: str) -> re.Pattern[str]:
        if old.count("*") != new.count("*"):
            raise self.refusal(
                checkpoint,
                f"{shown(old)} has {old.count('*')} '*', its new name {shown(new)} "
                f"{new.count('*')}: each stands for one text.",
            )
        return re.compile("(.*)".join(map(re.escape, old.split("*"))), re.DOTALL)


def _filled(new: str, texts: tuple[str, ...]) -> str:
    first, *rest = new.split("*")
    return first + "".join(text + part for text, part in zip(texts, rest, strict=True))


def under_names(view: View, checkpoint: Checkpoint, moved: Mapping[str, str]) -> Checkpoint:
    """The checkpoint with names taken for others, one to one.

    Raises:
        CheckpointError: two tensors would have one name, or one would have none.
    """
    entries = dict[str, TensorEntry]()
    before = dict[str, str]()
    for name, entry in checkpoint.entries.items():
        new = moved.get(name, name)
        if new in entries or not new:
            problem = f"{shown(before[new])} and {shown(name)} would both be" if new else "no name:"
            raise view.refusal(checkpoint, f"{problem} {shown(new or name)}.")
        before[new] = name
        alias = moved.get(entry.alias_of, entry.alias_of) if entry.alias_of else None
        same = new == name and alias == entry.alias_of
        seen = entry if same else replace(entry, name=new, alias_of=alias)
        entries[new] = seen if new == name else replace(seen, made_of=(entry,))
    return made_of(checkpoint, entries)
