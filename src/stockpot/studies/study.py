"""What every study gives: a frozen result that says what it found and can be written to files."""

from typing import Protocol


class Study(Protocol):
    """A result of one study; `stockpot.report` has a page for each kind."""

    @property
    def title(self) -> str:
        """Its question."""
        ...

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words that are computed from the numbers."""
        ...

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What it was made of, for a reader."""
        ...

    def to_csv(self) -> str:
        """The main table."""
        ...

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it: a number that is not finite is null."""
        ...
