"""The operations of pickles, protocols 0 to 5: what each does to the machine."""

import struct
from collections.abc import Callable, Mapping
from typing import cast

from .budget import DEEPEST, CutOffError, PickleError
from .machine import CONTAINER, ENTRY, LITERAL, LONGEST_NAME, Machine
from .shapes import Shape, check_key, is_a, tuple_of

NEWEST = 5
"""The newest protocol of pickles."""

LONGEST_NUMBER = 1_000

STOP = ord(".")
Operation = Callable[[Machine], None]


def _constant(value: object) -> Operation:
    return lambda machine: machine.push(value, 8)


def _empty(kind: str, nbytes: int) -> Operation:
    def push(machine: Machine) -> None:
        depth = 1 if kind in ("tuple", "list", "dict", "set") else 0
        machine.push(Shape(kind, depth=depth), nbytes)  # pyright: ignore[reportArgumentType]

    return push


def _fixed(form: str) -> Operation:
    size = struct.calcsize(form)
    return lambda machine: machine.push(struct.unpack(form, machine.take(size))[0], LITERAL)


def _counted(form: str, read: Callable[[bytes], object], longest: int | None = None) -> Operation:
    """Bytes after their count, each of which may become four."""
    width = struct.calcsize(form)

    def push(machine: Machine) -> None:
        (count,) = struct.unpack(form, machine.take(width))
        if longest is not None and count > longest:
            raise PickleError(f"has a number of {count:,} bytes")
        content = machine.take(count)
        machine.push(_decoded(read, content), LITERAL + 4 * count)

    return push


def _line(read: Callable[[bytes], object], longest: int | None) -> Operation:
    def push(machine: Machine) -> None:
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


def _tuple(count: int) -> Operation:
    def push(machine: Machine) -> None:
        values = [machine.pop() for _ in range(count)][::-1]
        machine.push(tuple_of(values), CONTAINER + 8 * count)

    return push


def _tuple_of_all(machine: Machine) -> None:
    values = machine.pop_mark()
    machine.push(tuple_of(values), CONTAINER + 8 * len(values))


def _list_of_all(machine: Machine) -> None:
    values = machine.pop_mark()
    machine.push(Shape("list", depth=1), CONTAINER)
    machine.fill(values)


def _dict_of_all(machine: Machine) -> None:
    pairs = machine.pop_mark()
    machine.push(Shape("dict", depth=1), CONTAINER)
    machine.set_items(pairs)


def _frozenset_of_all(machine: Machine) -> None:
    values = machine.pop_mark()
    for value in values:
        check_key(value, machine.budget)
    machine.push(tuple_of(values), 2 * CONTAINER + ENTRY * len(values))


def _append(machine: Machine) -> None:
    machine.fill([machine.pop()])


def _appends(machine: Machine) -> None:
    machine.fill(machine.pop_mark())


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _set_items(machine: Machine) -> None:
    machine.set_items(machine.pop_mark())


def _add_items(machine: Machine) -> None:
    machine.set_items(machine.pop_mark(), "set")


def _mark(machine: Machine) -> None:
    machine.budget.hold(CONTAINER)
    machine.below.append(machine.stack)
    machine.stack = []
    if len(machine.below) > 2 * DEEPEST:
        raise PickleError(f"nests more than {DEEPEST} containers")


def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _pop_mark(machine: Machine) -> None:
    machine.pop_mark()


def _duplicate(machine: Machine) -> None:
    machine.push(machine.top(), 8)


def _byte(machine: Machine) -> None:
    machine.push(machine.take_byte(), LITERAL)


def _put_byte(machine: Machine) -> None:
    machine.put(machine.take_byte())


def _get_byte(machine: Machine) -> None:
    machine.get(machine.take_byte())


def _put(form: str) -> Operation:
    size = struct.calcsize(form)
    return lambda machine: machine.put(struct.unpack(form, machine.take(size))[0])


def _get(form: str) -> Operation:
    size = struct.calcsize(form)
    return lambda machine: machine.get(struct.unpack(form, machine.take(size))[0])


def _put_line(machine: Machine) -> None:
    machine.put(cast(int, _decoded(int, machine.line(LONGEST_NUMBER))))


def _get_line(machine: Machine) -> None:
    machine.get(cast(int, _decoded(int, machine.line(LONGEST_NUMBER))))


def _memoize(machine: Machine) -> None:
    machine.put(len(machine.memo))


def _global(machine: Machine) -> None:
    module, name = (_decoded(_utf8, machine.line(LONGEST_NAME)) for _ in range(2))
    machine.name(cast(str, module), cast(str, name))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise PickleError("has a name that is no text")
    machine.name(module, name)


def _reduce(machine: Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.stack.append(machine.call(function, arguments))


def _new_with_names(machine: Machine) -> None:
    names = machine.pop()
    if not is_a(names, "dict") or cast(Shape, names).inside:
        raise PickleError("calls something with arguments by name")
    _reduce(machine)


def _instance(machine: Machine) -> None:
    _global(machine)
    function, arguments = machine.pop(), tuple_of(machine.pop_mark())
    machine.stack.append(machine.call(function, arguments))


def _object(machine: Machine) -> None:
    function, *arguments = machine.pop_mark() or [None]
    machine.stack.append(machine.call(function, tuple_of(arguments)))


def _build(machine: Machine) -> None:
    state, target = machine.pop(), machine.top()
    if not isinstance(target, Shape) or target.kind in ("name", "tuple", "list", "storage", "set"):
        raise PickleError("sets the state of what has none")
    if target.kind != "unknown" and machine.dialect.built is not None:
        machine.dialect.built(target, state, machine.budget)
    target.take([], [state])


def _persistent(machine: Machine) -> None:
    _stand_in(machine, machine.pop())


def _persistent_line(machine: Machine) -> None:
    _stand_in(machine, _decoded(_utf8, machine.line(LONGEST_NAME)))


def _stand_in(machine: Machine, key: object) -> None:
    if machine.dialect.persistent is None:
        raise PickleError("refers to something outside of it")
    machine.push(machine.dialect.persistent(key, machine.budget), CONTAINER)


def _protocol(machine: Machine) -> None:
    if machine.take(1)[0] > NEWEST:
        raise PickleError("has a protocol that does not exist")


def _frame(machine: Machine) -> None:
    (count,) = struct.unpack("<Q", machine.take(8))
    if machine.at + count > len(machine.raw):
        raise CutOffError("is cut off")


OPERATIONS: Mapping[int, Operation] = {
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
