"""What a method's map tells and gives, without the engine."""

from dataclasses import replace

from torch import Tensor

from stockpot.asides import Note, Where
from stockpot.core import Method, Stack


class Telling:
    """Keeps what a map tells and gives of one block."""

    def __init__(self) -> None:
        self.notes: dict[str, Where | Note] = {}
        self.given: dict[tuple[str, int | None], Tensor] = {}

    def tell(self, name: str, what: Where | Note) -> None:
        self.notes[name] = what

    def give(self, name: str, values: Tensor, model: int | None) -> None:
        assert (name, model) not in self.given
        self.given[name, model] = values.clone()


def told_of(method: Method, stack: Stack) -> dict[str, object]:
    """What a map of a whole tensor tells, as merge.json has it."""
    aside = Telling()
    method(replace(stack, aside=aside), None)
    return {name: what.plain for name, what in aside.notes.items() if not isinstance(what, Where)}
