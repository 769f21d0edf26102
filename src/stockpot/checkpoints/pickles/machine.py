"""The scan: a pickle is gone through as its reader would, on shapes in place of values.

Nothing is imported, called or built. Every length is held against the bytes there are, every name
against a list, every call against its rule, and what all of it would cost against a budget.
"""

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from typing import cast

from .budget import DEEPEST, TALLEST, Budget, CutOffError, NamedError, PickleError, ProtocolError
from .dialect import Dialect
from .shapes import Shape, check_key, tuple_of

NEWEST = 5
"""The newest protocol of pickles."""

LONGEST_NUMBER = 1_000
LONGEST_NAME = 1_000

CONTAINER, ENTRY, KEPT, LITERAL = 120, 100, 60, 40
"""Bytes that a container, an entry of a dict, a value kept in the memo, and a literal take."""


def scan(raw: bytes, dialect: Dialect, budget: Budget, at: int = 0) -> tuple[object, int]:
    """Go through one pickle; gives the shape of what it holds, and the byte after it.

    Args:
        raw: bytes that hold it.
        dialect: what its reader admits.
        budget: what it may cost, shared by all pickles of a file.
        at: where in `raw` it begins.

    Raises:
        NamedError: it names something that is refused; all such names are listed.
        CutOffError: `raw` ends before it does.
        PickleError: it is damaged, or costs too much.
    """
    machine = _Machine(raw, dialect, budget, at)
    try:
        found = machine.run()
    except PickleError as error:
        if machine.refused:
            raise NamedError(list(machine.refused)) from None
        if machine.foreign and not isinstance(error, CutOffError):
            raise ProtocolError(None) from None
        raise
    if machine.refused:
        raise NamedError(list(machine.refused))
    if machine.foreign:
        raise ProtocolError(found[1])
    return found


class _Machine:
    def __init__(self, raw: bytes, dialect: Dialect, budget: Budget, at: int) -> None:
        self.raw, self.dialect, self.budget, self.at = raw, dialect, budget, at
        self.stack: list[object] = []
        self.below: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.refused: dict[str, None] = {}
        self.foreign = False
        self.operations = 0

    def run(self) -> tuple[object, int]:
        raw, size, known = self.raw, len(self.raw), self.dialect.operations
        step = self.budget.step
        while True:
            if self.at >= size:
                raise CutOffError("is cut off")
            opcode = raw[self.at]
            self.at += 1
            self.operations += 1
            step()
            if opcode == _STOP:
                return self.pop(), self.at
            if known is not None and opcode not in known:
                self.foreign = True
            operation = _OPERATIONS.get(opcode)
            if operation is None:
                raise PickleError(f"has the unknown operation {bytes((opcode,))!r}")
            operation(self)

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
        if not self.stack:
            raise PickleError("takes what is not there")
        return self.stack.pop()

    def top(self) -> object:
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
        self.budget.hold(nbytes)
        self.stack.append(value)
        if len(self.stack) > TALLEST:
            raise PickleError(f"has more than {TALLEST:,} values that wait")

    def name(self, module: str, name: str) -> None:
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
        if _is(function, "unknown"):
            return Shape("unknown")
        if not isinstance(arguments, Shape) or arguments.kind not in ("tuple", "unknown"):
            raise PickleError("calls something without a tuple of arguments")
        if not isinstance(function, Shape) or function.kind != "name":
            raise PickleError("calls something that is no name")
        self.budget.step(len(arguments.inside))
        self.budget.hold(CONTAINER)
        rule = self.dialect.rule(function.name)
        if rule is None or any(_is(value, "unknown") for value in arguments.inside):
            return Shape("unknown")
        return rule(arguments.inside, self.budget)

    def put(self, index: int) -> None:
        """Keep the top; an index far beyond what was read would take memory of its size."""
        if not 0 <= index <= self.operations + 255:
            raise PickleError(f"numbers a value {index:,} after {self.operations:,} operations")
        self.budget.hold(KEPT)
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError(f"takes the value {index}, which it did not keep")
        self.push(self.memo[index], 8)

    def fill(self, values: list[object]) -> None:
        """Put values into the list on the top."""
        target = self.top()
        if _is(target, "unknown"):
            return
        if not isinstance(target, Shape) or target.kind != "list":
            raise PickleError("appends to what is no list")
        self.budget.hold(8 * len(values))
        target.take(values, values)

    def set_items(self, pairs: list[object], kind: str = "dict") -> None:
        """Put keys and values into the dict on the top."""
        target = self.top()
        if _is(target, "unknown"):
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


def _is(value: object, kind: str) -> bool:
    return isinstance(value, Shape) and value.kind == kind


_STOP = ord(".")
_Operation = Callable[[_Machine], None]


def _constant(value: object) -> _Operation:
    return lambda machine: machine.push(value, 8)


def _empty(kind: str, nbytes: int) -> _Operation:
    def push(machine: _Machine) -> None:
        depth = 1 if kind in ("tuple", "list", "dict", "set") else 0
        machine.push(Shape(kind, depth=depth), nbytes)  # pyright: ignore[reportArgumentType]

    return push


def _fixed(form: str) -> _Operation:
    size = struct.calcsize(form)
    return lambda machine: machine.push(struct.unpack(form, machine.take(size))[0], LITERAL)


def _counted(form: str, read: Callable[[bytes], object], longest: int | None = None) -> _Operation:
    """Bytes after their count, each of which may become four."""
    width = struct.calcsize(form)

    def push(machine: _Machine) -> None:
        (count,) = struct.unpack(form, machine.take(width))
        if longest is not None and count > longest:
            raise PickleError(f"has a number of {count:,} bytes")
        content = machine.take(count)
        machine.push(_decoded(read, content), LITERAL + 4 * count)

    return push


def _line(read: Callable[[bytes], object], longest: int | None) -> _Operation:
    def push(machine: _Machine) -> None:
        content = machine.line(longest)
        machine.push(_decoded(read, content), LITERAL + 4 * len(content))

    return push


def _decoded(read: Callable[[bytes], object], content: bytes) -> object:
    try:
        return read(content)
    except ValueError:
        raise PickleError(f"has {content[:20]!r} where it says text or a number") from None


def _utf8(content: bytes) -> str:
    return content.decode("utf8", "surrogatepass")


def _latin(content: bytes) -> str:
    return content.decode("latin1")


def _whole(content: bytes) -> int | bool:
    """A whole number in digits; 00 and 01 are how the oldest protocol writes booleans."""
    return content == b"01" if content in (b"00", b"01") else int(content.rstrip(b"L"))


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


def _tuple(count: int) -> _Operation:
    def push(machine: _Machine) -> None:
        values = [machine.pop() for _ in range(count)][::-1]
        machine.push(tuple_of(values), CONTAINER + 8 * count)

    return push


def _tuple_of_all(machine: _Machine) -> None:
    values = machine.pop_mark()
    machine.push(tuple_of(values), CONTAINER + 8 * len(values))


def _list_of_all(machine: _Machine) -> None:
    values = machine.pop_mark()
    machine.push(Shape("list", depth=1), CONTAINER)
    machine.fill(values)


def _dict_of_all(machine: _Machine) -> None:
    pairs = machine.pop_mark()
    machine.push(Shape("dict", depth=1), CONTAINER)
    machine.set_items(pairs)


def _frozenset_of_all(machine: _Machine) -> None:
    values = machine.pop_mark()
    for value in values:
        check_key(value, machine.budget)
    machine.push(tuple_of(values), 2 * CONTAINER + ENTRY * len(values))


def _append(machine: _Machine) -> None:
    machine.fill([machine.pop()])


def _appends(machine: _Machine) -> None:
    machine.fill(machine.pop_mark())


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _set_items(machine: _Machine) -> None:
    machine.set_items(machine.pop_mark())


def _add_items(machine: _Machine) -> None:
    machine.set_items(machine.pop_mark(), "set")


def _mark(machine: _Machine) -> None:
    machine.budget.hold(CONTAINER)
    machine.below.append(machine.stack)
    machine.stack = []
    if len(machine.below) > 2 * DEEPEST:
        raise PickleError(f"nests more than {DEEPEST} containers")


def _pop(machine: _Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _pop_mark(machine: _Machine) -> None:
    machine.pop_mark()


def _duplicate(machine: _Machine) -> None:
    machine.push(machine.top(), 8)


def _byte(machine: _Machine) -> None:
    machine.push(machine.take_byte(), LITERAL)


def _put_byte(machine: _Machine) -> None:
    machine.put(machine.take_byte())


def _get_byte(machine: _Machine) -> None:
    machine.get(machine.take_byte())


def _put(form: str) -> _Operation:
    size = struct.calcsize(form)
    return lambda machine: machine.put(struct.unpack(form, machine.take(size))[0])


def _get(form: str) -> _Operation:
    size = struct.calcsize(form)
    return lambda machine: machine.get(struct.unpack(form, machine.take(size))[0])


def _put_line(machine: _Machine) -> None:
    machine.put(cast(int, _decoded(int, machine.line(LONGEST_NUMBER))))


def _get_line(machine: _Machine) -> None:
    machine.get(cast(int, _decoded(int, machine.line(LONGEST_NUMBER))))


def _memoize(machine: _Machine) -> None:
    machine.put(len(machine.memo))


def _global(machine: _Machine) -> None:
    module, name = (_decoded(_utf8, machine.line(LONGEST_NAME)) for _ in range(2))
    machine.name(cast(str, module), cast(str, name))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise PickleError("has a name that is no text")
    machine.name(module, name)


def _reduce(machine: _Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.stack.append(machine.call(function, arguments))


def _new_with_names(machine: _Machine) -> None:
    names = machine.pop()
    if not _is(names, "dict") or cast(Shape, names).inside:
        raise PickleError("calls something with arguments by name")
    _reduce(machine)


def _instance(machine: _Machine) -> None:
    _global(machine)
    function, arguments = machine.pop(), tuple_of(machine.pop_mark())
    machine.stack.append(machine.call(function, arguments))


def _object(machine: _Machine) -> None:
    function, *arguments = machine.pop_mark() or [None]
    machine.stack.append(machine.call(function, tuple_of(arguments)))


def _build(machine: _Machine) -> None:
    state, target = machine.pop(), machine.top()
    if not isinstance(target, Shape) or target.kind in ("name", "tuple", "list", "storage", "set"):
        raise PickleError("sets the state of what has none")
    if target.kind != "unknown" and machine.dialect.built is not None:
        machine.dialect.built(target, state, machine.budget)
    target.take([], [state])


def _persistent(machine: _Machine) -> None:
    _stand_in(machine, machine.pop())


def _persistent_line(machine: _Machine) -> None:
    _stand_in(machine, _decoded(_utf8, machine.line(LONGEST_NAME)))


def _stand_in(machine: _Machine, key: object) -> None:
    if machine.dialect.persistent is None:
        raise PickleError("refers to something outside of it")
    machine.push(machine.dialect.persistent(key, machine.budget), CONTAINER)


def _protocol(machine: _Machine) -> None:
    if machine.take(1)[0] > NEWEST:
        raise PickleError("has a protocol that does not exist")


def _frame(machine: _Machine) -> None:
    (count,) = struct.unpack("<Q", machine.take(8))
    if machine.at + count > len(machine.raw):
        raise CutOffError("is cut off")


_OPERATIONS: Mapping[int, _Operation] = {
    ord(code): operation
    for code, operation in {
        b"(": _mark, b"0": _pop, b"1": _pop_mark, b"2": _duplicate,
        b"N": _constant(None), b"\x88": _constant(True), b"\x89": _constant(False),
        b"K": _byte, b"M": _fixed("<H"), b"J": _fixed("<i"), b"G": _fixed(">d"),
        b"I": _line(_whole, LONGEST_NUMBER), b"L": _line(_whole, LONGEST_NUMBER),
        b"F": _line(float, LONGEST_NUMBER), b"S": _line(_latin, None), b"V": _line(_latin, None),
        b"\x8a": _counted("<B", _number), b"\x8b": _counted("<i", _number, LONGEST_NUMBER),
        b"U": _counted("<B", _latin), b"T": _counted("<i", _latin),
        b"X": _counted("<I", _utf8), b"\x8c": _counted("<B", _utf8), b"\x8d": _counted("<Q", _utf8),
        b"C": _counted("<B", bytes), b"B": _counted("<I", bytes), b"\x8e": _counted("<Q", bytes),
        b"\x96": _counted("<Q", bytes),
        b")": _empty("tuple", 8), b"]": _empty("list", CONTAINER), b"}": _empty("dict", CONTAINER),
        b"\x8f": _empty("set", 2 * CONTAINER),
        b"\x85": _tuple(1), b"\x86": _tuple(2), b"\x87": _tuple(3), b"t": _tuple_of_all,
        b"l": _list_of_all, b"d": _dict_of_all, b"\x91": _frozenset_of_all,
        b"a": _append, b"e": _appends, b"s": _set_item, b"u": _set_items, b"\x90": _add_items,
        b"p": _put_line, b"q": _put_byte, b"r": _put("<I"), b"\x94": _memoize,
        b"g": _get_line, b"h": _get_byte, b"j": _get("<I"),
        b"c": _global, b"\x93": _stack_global, b"i": _instance, b"o": _object,
        b"R": _reduce, b"\x81": _reduce, b"\x92": _new_with_names, b"b": _build,
        b"Q": _persistent, b"P": _persistent_line, b"\x80": _protocol, b"\x95": _frame,
    }.items()
}  # fmt: skip
