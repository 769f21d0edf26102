"""Texts and tables that fit a number of columns; without one, as wide as they are."""

import re
import textwrap
from collections.abc import Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table

from ..texts import visible

_MARKED = re.compile(r" *(- |\d+\. )?")
_CODE = re.compile(r" *(>>>|\.\.\.) |\S.* {3}")
"""Examples, and formulas side by side: they stay as they are written."""
_NUMBERS = re.compile(r"[-+\d.,%\[\] ×eE∞]*")
_GAP, _WORD, _NAME = 2, 12, 28
"""Between columns; and how narrow a column of words, and the first one, may become."""
_NARROWEST = 40


def wrapped(text: str, width: int | None) -> str:
    """A text of which no line is wider, between words; what begins a line of a list hangs over.

    A command, an indented line that begins with `stockpot`, goes on after a backslash, so that it
    can be copied.

    Example:
        >>> print(wrapped("  - one start, and more of it, and another start", 40))
          - one start, and more of it, and
            another start
        >>> print(wrapped("   stockpot merge ties a b c d --out merged", 40))
           stockpot merge ties a b c d \\
             --out merged
    """
    if width is None:
        return text
    return "\n".join(_wrapped(line, max(width, _NARROWEST)) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    if cell_len(line) <= width or _CODE.match(line):
        return line
    if re.match(r" +stockpot ", line):
        return _command(line, width)
    mark = _MARKED.match(line)
    hanging = " " * (mark.end() if mark else 0)
    return textwrap.fill(
        line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def _command(line: str, width: int) -> str:
    """Cut before flags alone: within quotes there may be spaces."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    first, *flags = re.split(r" (?=--[a-z])", line)
    lines = [first]
    for flag in flags:
        if cell_len(f"{lines[-1]} {flag} \\") <= width:
            lines[-1] += f" {flag}"
        else:
            lines.append(f"{indent}{flag}")
    return " \\\n".join(lines)


def tables(
    columns: Sequence[str], rows: Sequence[Sequence[object]], width: int | None
) -> list[Table]:
    """A table, cut into several with the same first column where it would be wider."""
    cells = [[_cell(value) for value in row] for row in rows]
    whole = [_is_number(rows, cells, i) for i in range(len(columns))]
    natural = [max(cell_len(row[i]) for row in (columns, *cells)) for i in range(len(columns))]
    if width is None:
        return [_table(columns, cells, whole, dict(enumerate(natural)))]
    width = max(width, _NARROWEST)
    narrow = [
        most if whole[i] else min(most, _WORD if i else _NAME) for i, most in enumerate(natural)
    ]
    groups = _groups(narrow, width)
    return [
        _table(columns, cells, whole, _widths(group, narrow, natural, width)) for group in groups
    ]


def _groups(narrow: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand side by side; the first one in each group."""
    groups: list[list[int]] = [[0]]
    for i in range(1, len(narrow)):
        group = groups[-1]
        if len(group) > 1 and sum(narrow[k] + _GAP for k in group) + narrow[i] > width:
            groups.append([0, i])
        else:
            group.append(i)
    return groups


def _widths(
    group: Sequence[int], narrow: Sequence[int], natural: Sequence[int], width: int
) -> dict[int, int]:
    """Of each column: at least the narrowest; what is left goes to those that need least, first."""
    widths = {i: narrow[i] for i in group}
    left = width - sum(widths.values()) - _GAP * (len(group) - 1)
    needy = sorted(group, key=lambda i: natural[i] - narrow[i])
    for place, i in enumerate(needy):
        more = max(0, min(natural[i] - narrow[i], left // (len(needy) - place)))
        widths[i] += more
        left -= more
    return widths


def _table(
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    whole: Sequence[bool],
    widths: Mapping[int, int],
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, width in widths.items():
        justify = "right" if whole[i] else "left"
        table.add_column(
            columns[i], justify=justify, no_wrap=whole[i], overflow="fold", width=width
        )
    for row in cells:
        table.add_row(*(row[i] for i in widths))
    return table


def _is_number(rows: Sequence[Sequence[object]], cells: Sequence[Sequence[str]], i: int) -> bool:
    numbers = all(isinstance(row[i], int | float) for row in rows)
    return bool(rows) and (numbers or all(_NUMBERS.fullmatch(row[i]) for row in cells))


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return visible(str(value), keep="")
    if value != value:  # NaN: there is no such number
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
