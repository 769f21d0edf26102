"""What a reader of pickles keeps while it reads: its place, a stack with marks, and a memo.

Every length is held against the bytes there are, every name against a list, every call against its
rule, and what all of it would cost against a budget.
"""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

from .budget import TALLEST, Budget, CutOffError, PickleError
from .dialect import Dialect
from .shapes import Shape, check_key, is_a

LONGEST_NAME = 1_000

CONTAINER, ENTRY, KEPT, LITERAL = 120, 100, 60, 40
"""Bytes that a container, an entry of a dict, a value kept in the memo, and a literal take."""


class Machine:
    """A stack, marks and a memo, as a reader of pickles has them; what they hold costs.

    Attributes:
        refused: names that the dialect does not admit.
        foreign: an operation came that its reader does not know.
    """

    def __init__(self, raw: bytes, dialect: Dialect, budget: Budget, at: int) -> None:
        self.raw, self.dialect, self.budget, self.at = raw, dialect, budget, at
        self.stack: list[object] = []
        self.below: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.refused: dict[str, None] = {}
        self.foreign = False
        self.operations = 0

    def take_byte(self) -> int:
        """The next byte."""
        at = self.at
        if at >= len(self.raw):
            raise CutOffError("is cut off")
        self.at = at + 1
        return self.raw[at]

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0:
            raise PickleError("has a length below zero")
        end = self.at + count
        if end > len(self.raw):
            raise CutOffError("is cut off")
        found = self.raw[self.at : end]
        self.at = end
        return found

    def line(self, longest: int | None = None) -> bytes:
        """The next bytes up to the end of a line."""
        end = self.raw.find(b"\n", self.at, None if longest is None else self.at + longest + 1)
        if end < 0:
            if longest is not None and self.at + longest < len(self.raw):
                raise PickleError(f"has a name or number of more than {longest:,} characters")
            raise CutOffError("is cut off")
        found, self.at = self.raw[self.at : end], end + 1
        return found

    def pop(self) -> object:
        """Take the value on the top."""
        if not self.stack:
            raise PickleError("takes what is not there")
        return self.stack.pop()

    def top(self) -> object:
        """The value on the top, which stays."""
        if not self.stack:
            raise PickleError("takes what is not there")
        return self.stack[-1]

    def pop_mark(self) -> list[object]:
        """Everything since the last mark."""
        if not self.below:
            raise PickleError("takes what is not there")
        items, self.stack = self.stack, self.below.pop()
        self.budget.step(len(items))
        return items

    def push(self, value: object, nbytes: int) -> None:
        """Put a value of so many bytes on the top."""
        self.budget.hold(nbytes)
        self.stack.append(value)
        if len(self.stack) > TALLEST:
            raise PickleError(f"has more than {TALLEST:,} values that wait")

    def name(self, module: str, name: str) -> None:
        """Put what a name stands for on the top, by the names of today."""
        if len(module) + len(name) > LONGEST_NAME:
            raise PickleError(f"has a name of more than {LONGEST_NAME:,} characters")
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        else:
            module = IMPORT_MAPPING.get(module, module)
        full = f"{module}.{name}"
        if self.dialect.rule(full) is None:
            self.refused[full] = None
            self.push(Shape("unknown", full), CONTAINER)
        else:
            self.push(Shape("name", full), LITERAL)

    def call(self, function: object, arguments: object) -> object:
        """What a call of a name gives, by its rule."""
        if is_a(function, "unknown"):
            return Shape("unknown")
        if not isinstance(arguments, Shape) or arguments.kind not in ("tuple", "unknown"):
            raise PickleError("calls something without a tuple of arguments")
        if not isinstance(function, Shape) or function.kind != "name":
            raise PickleError("calls something that is no name")
        self.budget.step(len(arguments.inside))
        self.budget.hold(CONTAINER)
        rule = self.dialect.rule(function.name)
        if rule is None or any(is_a(value, "unknown") for value in arguments.inside):
            return Shape("unknown")
        return rule(arguments.inside, self.budget)

    def put(self, index: int) -> None:
        """Keep the top; an index far beyond what was read would take memory of its size."""
        if not 0 <= index <= self.operations + 255:
            raise PickleError(f"numbers a value {index:,} after {self.operations:,} operations")
        self.budget.hold(KEPT)
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        """Put what was kept under this number on the top."""
        if index not in self.memo:
            raise PickleError(f"takes the value {index}, which it did not keep")
        self.push(self.memo[index], 8)

    def fill(self, values: list[object]) -> None:
        """Put values into the list on the top."""
        target = self.top()
        if is_a(target, "unknown"):
            return
        if not isinstance(target, Shape) or target.kind != "list":
            raise PickleError("appends to what is no list")
        self.budget.hold(8 * len(values))
        target.take(values, values)

    def set_items(self, pairs: list[object], kind: str = "dict") -> None:
        """Put keys and values into the dict on the top."""
        target = self.top()
        if is_a(target, "unknown"):
            return
        if not isinstance(target, Shape) or target.kind != kind:
            raise PickleError(f"puts items into what is no {kind}")
        step = 2 if kind == "dict" else 1
        if len(pairs) % step:
            raise PickleError("has a key without a value")
        keys = pairs[::step]
        for key in keys:
            check_key(key, self.budget)
        self.budget.hold(ENTRY * len(keys))
        target.take(keys, pairs)
