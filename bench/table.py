"""Tables of measurements: markdown to read, plain values to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bench.measure import Summary

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """What one part of the benchmark says; `faults` are the reasons to end with an error."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    measured: Mapping[str, Summary] = field(default_factory=dict[str, Summary])
    faults: Sequence[str] = ()

    def markdown(self) -> str:
        """Every column but the first is aligned to the right."""
        marks = ["---"] + ["---:"] * (len(self.columns) - 1)
        lines = ["| " + " | ".join(line) + " |" for line in (self.columns, marks, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines, *(["", self.note] if self.note else [])])

    def plain(self) -> dict[str, object]:
        return asdict(self)


def shown_ratio(slow: Summary | None, fast: Summary | None, target: float | None = None) -> str:
    """How many times faster, with its target; nothing where there is nothing to divide."""
    if slow is None or fast is None or slow.fault or fast.fault:
        return NOTHING
    value = slow.seconds / fast.seconds
    return judged(f"{value:.1f}x", value, at_least=target) if target else f"{value:.1f}x"


def shown_megabytes(summary: Summary | None) -> str:
    return NOTHING if summary is None or summary.fault else f"{summary.peak_mb:.0f} MB"


def judged(
    shown: str, value: float, *, at_least: float | None = None, at_most: float | None = None
) -> str:
    """A figure beside its target, and whether it was met."""
    if at_least is not None:
        return f"{shown} (at least {at_least:g}: {'met' if value >= at_least else 'MISSED'})"
    if at_most is not None:
        return f"{shown} (at most {at_most:g}: {'met' if value <= at_most else 'MISSED'})"
    return shown
