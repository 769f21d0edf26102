"""Flags that several commands share, each declared once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from .command_line import UsageError

T = TypeVar("T")
_NOUNS: Mapping[object, str] = {int: "whole number", float: "number"}


def separated(text: str, kind: Callable[[str], T]) -> tuple[T, ...]:
    """Values between commas; of nothing, or `none`, no value.

    Raises:
        ValueError: one of them is of another kind.

    Example:
        >>> separated("0.5,1", float), separated("none", str)
        ((0.5, 1.0), ())
    """
    parts = [] if text in ("", "none") else text.split(",")
    try:
        return tuple(kind(part.strip()) for part in parts)
    except ValueError:
        noun = _NOUNS.get(kind, "value")
        raise ValueError(
            f"'{text[:80]}' is no {noun}, and no {noun}s between commas or spaces"
        ) from None


def _between_commas(kind: Callable[[str], object], **more: Any) -> Parameter:
    def read(_: object, tokens: Any) -> object:
        return tuple(value for token in tokens for value in separated(str(token.value), kind))

    return Parameter(converter=read, n_tokens=1, negative="", show_default=False, **more)


def at_least(least: int, flag: str) -> Callable[[object, int | None], None]:
    """A check of a flag's number, for cyclopts.

    Raises:
        UsageError: when it is called with a smaller one.
    """

    def check(_: object, value: int | None) -> None:
        if value is not None and value < least:
            raise UsageError(f"{flag} must be at least {least}; got {value}.")

    return check


Words = Annotated[tuple[str, ...] | None, _between_commas(str)]
Counts = Annotated[tuple[int, ...] | None, _between_commas(int)]
Numbers = Annotated[tuple[float, ...] | None, _between_commas(float, allow_leading_hyphen=True)]
"""Values between commas, as one argument; `lists.with_commas` makes one of those between spaces."""
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
MODEL = (
    "Checkpoints: files or directories; BASE+ADAPTER is one with a PEFT LoRA adapter on it, "
    "BASE+ADAPTER+ADAPTER with two."
)
"""What a MODEL may be, in the help of every command that takes some."""
Base = Annotated[str | None, Parameter(help="What the models were fine-tuned from.")]
Folder = Annotated[Path, Parameter(name="--out", help="Folder for report.html and results.")]
Jobs = Annotated[
    int | None,
    Parameter(
        help="Networks trained at once; by default one per core for more than 20 s of work.",
        validator=at_least(1, "--jobs"),
    ),
]
Workers = Annotated[
    int | None,
    Parameter(
        help="Threads of a merge; by default one per core, at most eight.",
        validator=at_least(1, "--workers"),
    ),
]
Memory = Annotated[str, Parameter(help="Budget for buffers, such as 512MiB or 8GiB.")]
Json = Annotated[Flag, Parameter(help="Print one JSON object on stdout and nothing else.")]
Quiet = Annotated[Flag, Parameter(help="No notes and no progress; results stay.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="Where networks and merges are computed; auto takes a GPU where there is one."),
]
Overwrite = Annotated[Flag, Parameter(help="Replace what stands at the output's path.")]
Many = Annotated[tuple[str, ...], Parameter(negative="", n_tokens=1, show_default=False)]
