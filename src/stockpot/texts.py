"""Text of strangers where it is shown: names of tensors, paths and labels are never commands.

A terminal obeys escape sequences, a spreadsheet computes cells that begin with =, a reader of text
is misled by characters that turn it around.
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of what has no shape of its own: controls, marks of direction, halves of pairs."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_FORMULA = "=+-@\t\r"


def visible(text: str, keep: str = "\n\t") -> str:
    """Text in which every character is seen; what cannot be seen is written as an escape.

    Args:
        text: from anywhere.
        keep: characters that stay although they cannot be seen.

    Example:
        >>> visible("a\\x1b[2Jb\\u202ec é")
        'a\\\\x1b[2Jb\\\\u202ec é'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or not _is_hidden(c) else escaped(c) for c in text)


def visible_json(text: str) -> str:
    """JSON in which every character is seen; its strings are what they were.

    Example:
        >>> visible_json('{"a": "\\x9b"}')
        '{"a": "\\\\u009b"}'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _is_hidden(c) else _json_escape(c) for c in text)


def escaped(character: str) -> str:
    """One character as Python's literals write it."""
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Rows under a header of their columns; what a row lacks is empty.

    Text that a spreadsheet would compute gets an apostrophe before it; numbers stay numbers.

    Example:
        >>> csv_text(["name", "value"], [{"name": "=1+1", "value": -0.5}])
        "name,value\\n'=1+1,-0.5\\n"
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(name, "")) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str) or value[:1] not in _FORMULA or not value:
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def size_text(count: float) -> str:
    """A number of bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"
