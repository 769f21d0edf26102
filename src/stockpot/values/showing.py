"""A result in a notebook: a few lines of HTML, in which every name is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from ..texts import visible

MOST = 30
"""Rows of a table that are shown."""


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of the first rows, without columns that say the same everywhere.

    Example:
        >>> html_table("", ["a", "b"], [[1, "x"], [2, "x"]])
        '<table><tr><th>a</th></tr><tr><td>1</td></tr><tr><td>2</td></tr></table>'
    """
    varying = [i for i in range(len(columns)) if len({repr(row[i]) for row in rows}) > 1]
    kept = varying if len(rows) > 1 else range(len(columns))
    head = f"<caption>{_text(title)}</caption>" if title else ""
    lines = [
        "".join(f"<th>{_text(columns[i])}</th>" for i in kept),
        *("".join(f"<td>{_text(row[i])}</td>" for i in kept) for row in rows[:MOST]),
    ]
    more = f"<p>and {len(rows) - MOST:,} rows more</p>" if len(rows) > MOST else ""
    return f"<table>{head}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{more}"


def html_words(title: str, sentences: Iterable[str]) -> str:
    """A heading, and a paragraph for each sentence."""
    told = "".join(f"<p>{_text(one)}</p>" for one in sentences if one)
    return f"<h4>{_text(title)}</h4>{told}"


def _text(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return escape(visible(text, keep=""))
