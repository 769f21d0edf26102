"""Lists and tables that come with a data set, read as the text of strangers."""

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from ...checkpoints.formats.untrusted import listed, shown
from .sources import damaged, read_file

LARGEST = 1 << 30
"""Bytes of a table or list."""

LARGEST_JSON = 1 << 24
"""Bytes of a JSON file."""

LONGEST = 1 << 16
"""Characters of one line of a list; the csv module bounds a cell by itself."""


def lines_of(name: str, path: Path) -> list[str]:
    """The lines of a UTF-8 text, without the empty ones.

    Raises:
        StockpotError: where it is not there, not text, or a line is too long.
    """
    lines = _text(name, path).split("\n")
    if any(len(line) > LONGEST for line in lines):
        raise damaged(name, path, f"has a line of more than {LONGEST} characters")
    return [line.strip() for line in lines if line.strip()]


def columns_of(name: str, path: Path, columns: Sequence[str]) -> Mapping[str, list[str]]:
    """Some columns of a csv file with a header.

    Raises:
        StockpotError: where it is not there, not csv, a column is missing, or a row has more or
            fewer cells than the header.
    """
    rows = csv.reader(StringIO(_text(name, path), newline=""), strict=True)
    found: dict[str, list[str]] = {one: [] for one in columns}
    nothing: list[str] = []
    try:
        header = next(rows, nothing)
        missing = [one for one in columns if one not in header]
        if missing:
            raise damaged(name, path, f"has no column {listed(missing)}; it has {listed(header)}")
        places = {one: header.index(one) for one in columns}
        for row in rows:
            if row and len(row) != len(header):
                why = f"has {len(row)} cells in line {rows.line_num}; its header has {len(header)}"
                raise damaged(name, path, why)
            for one, place in places.items() if row else ():
                found[one].append(row[place])
    except csv.Error as error:
        raise damaged(name, path, f"is not csv at line {rows.line_num} ({error})") from None
    return found


def plain(name: str, where: Path, word: str) -> str:
    """A file or folder name out of a list, which must not lead elsewhere.

    Raises:
        StockpotError: for a name with a separator, or that is no name.
    """
    if not word or word in (".", "..") or set(word) & set("/\\\0"):
        raise damaged(name, where, f"names the file {shown(word)}, which is no plain file name")
    return word


def _text(name: str, path: Path) -> str:
    raw = read_file(name, path, LARGEST)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise damaged(name, path, f"is not text in UTF-8 ({error})") from None


def read_json(name: str, path: Path) -> object:
    """The content of a JSON file.

    Raises:
        StockpotError: where it is not there, not JSON, nests too deeply or is too large.
    """
    raw = read_file(name, path, LARGEST_JSON)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(name, path, f"is no JSON ({str(error)[:120]})") from None
