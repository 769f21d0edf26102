"""Whether tokenizers mean the same tokens by the same rows of an embedding."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..formats.untrusted import shown
from .tokens import Vocabulary

PLACEHOLDER = re.compile(
    r"reserved|unused|dummy|placeholder|madeup|not_used|extra_?(token|id)|control_?\d+"
    r"|(special|added)?_?(token|tok|pad|blank|empty)_?\d+",
    re.IGNORECASE,
)
"""Names of rows that a vocabulary keeps free, for whoever tunes the model to name."""


@dataclass(frozen=True, slots=True)
class Clash:
    """A row that two models use for different tokens, or a token that they have in two rows.

    Attributes:
        one, other: the models.
        said: the first such row or token, in words.
        count: how many rows there are.
        of: how many rows both have tokens for.
    """

    one: str
    other: str
    said: str
    count: int
    of: int

    def __str__(self) -> str:
        many = f"; {self.count:,} of the {self.of:,} rows that both name" if self.count > 1 else ""
        return f"{self.said}{many}"


def clash(
    one: tuple[str, Vocabulary], other: tuple[str, Vocabulary], rows: int | None
) -> Clash | None:
    """The rows that mean different tokens in two models, among rows that both have.

    Tokens that one has beyond the other's, and names that it gives to rows that a vocabulary keeps
    free, are no clash.

    Args:
        one, other: what the models are called, and their tokens.
        rows: of the embedding; tokens beyond it are not looked at. None for any number.
    """
    (a, first), (b, second) = one, other
    if first is second or first.rows == second.rows:
        return None
    limit = float("inf") if rows is None else rows
    by_row = {row: token for token, row in second.rows.items()}
    both = {row for row in first.rows.values() if row in by_row and row < limit}
    wrong = list[tuple[int, str]]()
    for token, row in first.rows.items():
        if row >= limit:
            continue
        there = second.rows.get(token)
        if there is not None and there != row and there < limit:
            wrong.append((row, f"{shown(token)} is row {row} in {a} and row {there} in {b}"))
        elif there is None and row in by_row and not _is_named(token, by_row[row], first):
            text = f"row {row} is {shown(token)} in {a} and {shown(by_row[row])} in {b}"
            wrong.append((row, text))
    if not wrong:
        return None
    return Clash(a, b, min(wrong)[1], len(wrong), len(both))


def _is_named(token: str, other: str, first: Vocabulary) -> bool:
    """Whether one of two names for a row is only a name for a free row, or both are one token."""
    moved = first.rows.get(other)  # told at the row where the other token is
    return moved is not None or any(map(PLACEHOLDER.search, (token, other)))


def clashes(vocabularies: Sequence[tuple[str, Vocabulary]], rows: int | None) -> Iterator[Clash]:
    """Between each model and the first that reads the same kind of file, at most one each."""
    for index, other in enumerate(vocabularies[1:], start=1):
        for one in vocabularies[:index]:
            if comparable(one[1], other[1]) and (found := clash(one, other, rows)) is not None:
                yield found
                break


def comparable(one: Vocabulary, other: Vocabulary) -> bool:
    """Whether two vocabularies spell their tokens and count their rows alike.

    Tokens of tiktoken are bytes; networks of fairseq shift the rows of SentencePiece by one.
    """
    return _spelling(one) == _spelling(other)


def _spelling(one: Vocabulary) -> str:
    if one.source.endswith((".tiktoken", ".model")) and one.source != "tokenizer.model":
        return one.source
    return "text"


def differences(vocabularies: Sequence[tuple[str, Vocabulary]]) -> Iterator[str]:
    """What else differs between tokenizers that mean the same by their rows, in short sentences."""
    for (a, one), (b, other) in pairwise(vocabularies):
        if one is other:
            continue
        if not comparable(one, other):
            yield f"tokens of {a} ({one.source}) and {b} ({other.source}) cannot be compared"
            continue
        if extra := _beyond(one, other):
            yield f"{_tokens(extra)} only in {a}"
        if extra := _beyond(other, one):
            yield f"{_tokens(extra)} only in {b}"
        for role in sorted(one.roles.keys() & other.roles.keys()):
            if one.roles[role] != other.roles[role]:
                yield (
                    f"{role} is {shown(one.roles[role])} in {a} and {shown(other.roles[role])} "
                    f"in {b}"
                )
        shared = one.settings.keys() & other.settings.keys()
        if unlike := sorted(key for key in shared if one.settings[key] != other.settings[key]):
            yield f"{a} and {b} split texts in different ways ({', '.join(unlike)})"


def _beyond(one: Vocabulary, other: Vocabulary) -> list[str]:
    return sorted(one.rows.keys() - other.rows.keys(), key=lambda token: one.rows[token])


def _tokens(extra: Sequence[str]) -> str:
    few = ", ".join(map(shown, extra[:3]))
    return few + (f" and {len(extra) - 3:,} more" if len(extra) > 3 else "")
