"""A table as LaTeX, with the rules of booktabs, and as wide CSV: a column for each heading."""

import re

from ..texts import csv_text
from .tables import Entry, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_ANY = re.compile("|".join(map(re.escape, _SPECIAL)))


def escaped(text: str) -> str:
    r"""Text as LaTeX sets it.

    >>> escaped("50% of a_b")
    '50\\% of a\\_b'
    """
    said = _ANY.sub(lambda found: _SPECIAL[found.group()], text)
    return said.replace("—", "---").replace("–", "--").replace("−", "$-$")


def latex(table: Table) -> str:
    """A `tabular` with its caption, as `booktabs` has it; an interval stands small."""
    columns = "".join("r" if k >= table.names else "l" for k in range(len(table.columns)))
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(f'{table.title}. {table.caption}')}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line(table.headings),
        r"\midrule",
        *map(_line, table.cells),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def wide_csv(table: Table) -> str:
    """The cells as a page has them, numbers to all digits, with the interval in a column beside."""
    heads = [one.text or f"column {k + 1}" for k, one in enumerate(table.headings)]
    columns: list[str] = []
    rows: list[dict[str, object]] = [{} for _ in table.rows]
    for place, head in enumerate(heads):
        name = head if head not in heads[:place] else f"{head} {place + 1}"
        cells = [row[place] for row in table.cells]
        columns.append(name)
        for row, one in zip(rows, cells, strict=True):
            row[name] = one.text if one.key is None else one.key
        if any(one.detail for one in cells):
            columns.append(f"{name}, detail")
            for row, one in zip(rows, cells, strict=True):
                row[columns[-1]] = one.detail
    return csv_text(columns, rows)


def _line(cells: tuple[Entry, ...]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(one: Entry) -> str:
    text = rf"\textbf{{{escaped(one.text)}}}" if one.mark else escaped(one.text)
    return rf"{text} {{\scriptsize {escaped(one.detail)}}}" if one.detail else text
