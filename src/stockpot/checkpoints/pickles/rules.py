"""What calls give that several readers of pickles admit; see `dialect.Rule`."""

from .budget import Budget, PickleError
from .shapes import NATURAL, Shape, check_key, depth_of, numbers_of, tuple_of

ENTRY = 100
"""Bytes of an entry of a dict or set, about."""

LONGEST_PATH = 4_096

LATIN = ("latin1", "latin-1", "latin_1")


def no_function(arguments: list[object], budget: Budget) -> object:
    """Of a dtype, a class of storages: a name that is never called."""
    raise PickleError("calls what is no function")


def nothing(arguments: list[object], budget: Budget) -> object:
    """Of a stand-in that gives None."""
    return None


def record(arguments: list[object], budget: Budget) -> object:
    """Of a stand-in that keeps what it is given, and does nothing with it."""
    return Shape("object", depth=depth_of(arguments))


def sizes(arguments: list[object], budget: Budget) -> object:
    """Of a tuple made of a list or tuple."""
    match arguments:
        case [Shape(kind="list" | "tuple", inside=values)]:
            budget.step(len(values))
            budget.hold(8 * len(values))
            return tuple_of([*values])
        case _:
            return tuple_of([])


def numbers(arguments: list[object], budget: Budget) -> object:
    """Of torch.Size: a tuple of whole numbers."""
    if len(arguments) > 1:
        raise PickleError("makes a shape of no numbers")
    return tuple_of([*(numbers_of(arguments[0], "a shape", budget) if arguments else [])])


def path(arguments: list[object], budget: Budget) -> object:
    """Of a path: its parts, joined. Parts of parts could be of any length."""
    parts = [part for part in arguments if isinstance(part, str)]
    length = sum(map(len, parts)) + len(parts)
    if len(parts) < len(arguments) or length > LONGEST_PATH:
        raise PickleError(f"makes a path of more than {LONGEST_PATH:,} characters, or of no text")
    budget.hold(length)
    return "/".join(parts)


def ordered(arguments: list[object], budget: Budget) -> object:
    """Of a dict: of nothing, or of pairs."""
    made = Shape("dict", depth=1)
    match arguments:
        case []:
            return made
        case [Shape(kind="list" | "tuple", inside=pairs)]:
            budget.step(len(pairs))
        case _:
            raise PickleError("makes a dict of no pairs")
    for pair in pairs:
        match pair:
            case Shape(kind="list" | "tuple", inside=[key, value]):
                check_key(key, budget)
                budget.hold(ENTRY)
                made.take([key], [value])
            case _:
                raise PickleError("makes a dict of no pairs")
    return made


def counter(arguments: list[object], budget: Budget) -> object:
    """Of a counter: of elements, or of the counts of some."""
    values = _elements(arguments, budget)
    made = Shape("dict", depth=1)
    made.take(values, values)
    return made


def distinct(arguments: list[object], budget: Budget) -> object:
    """Of a set."""
    values = _elements(arguments, budget)
    made = Shape("set", depth=1)
    made.take(values, values)
    return made


def _elements(arguments: list[object], budget: Budget) -> list[object]:
    """What a set or counter is made of, each looked up once."""
    match arguments:
        case []:
            return []
        case [Shape(kind="list" | "tuple" | "dict" | "set", inside=values)]:
            budget.step(len(values))
        case _:
            raise PickleError("makes a set or counter of what is no list")
    for value in values:
        check_key(value, budget)
    budget.hold(ENTRY * len(values))
    return values


def mutable_bytes(arguments: list[object], budget: Budget) -> object:
    """Of a bytearray: of nothing, bytes, or text in latin-1. Of a number it would be that long."""
    match arguments:
        case []:
            pass
        case [bytes(content)]:
            budget.hold(len(content))
        case [str(content), str(codec)] if codec in LATIN:
            budget.hold(len(content))
        case _:
            raise PickleError("makes bytes of what are none")
    return Shape("object")


def encode(arguments: list[object], budget: Budget) -> object:
    """Of text as bytes, as protocol 2 writes them; other codecs may take any time or memory."""
    match arguments:
        case [str(text)]:
            pass
        case [str(text), str(codec)] if codec in LATIN:
            pass
        case [str(), str(codec)]:
            raise PickleError(f"encodes text by the codec {codec[:80]!r}, not latin-1")
        case _:
            raise PickleError("encodes what is no text")
    budget.hold(len(text))
    return text.encode("latin1", "replace")


def complex_number(arguments: list[object], budget: Budget) -> object:
    """Of a complex number: its two parts."""
    for part in arguments:
        if not isinstance(part, float) and not (type(part) is int and abs(part) < NATURAL):
            raise PickleError("makes a complex number of no numbers")
    return complex(*(float(part) for part in arguments[:2]))  # pyright: ignore[reportArgumentType]


def small(arguments: list[object], budget: Budget) -> object:
    """Of a device or layout, by its name."""
    for part in arguments:
        if not isinstance(part, int) and not (isinstance(part, str) and len(part) < 100):
            raise PickleError("names a device or layout by what is no name")
    return Shape("object")
