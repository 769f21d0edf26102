"""Further test samples that an experiment's networks are judged on: its YAML, checked."""

from dataclasses import dataclass
from typing import Annotated, Literal, cast

from annotated_types import Ge, Le

from ..errors import FieldError
from ..values.bounds import Text
from ..values.fields import FieldSpec
from ..values.from_plain_data import Reads
from ..values.section import Section

_SEVERITY = FieldSpec("", int, (Ge(1), Le(5)), (), False)


def _read_severities(value: object) -> tuple[int, ...]:
    if value == "all":
        return tuple(range(1, 6))
    many = cast(list[object], value) if isinstance(value, list | tuple) else [value]
    if not all(map(_SEVERITY.admits, many)):
        raise FieldError(f"must be {_SEVERITY.interval()}, a list of such numbers, or all.")
    return tuple(cast(list[int], many))


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSpec(Section):
    """A view of the test split: the samples of a domain, or all samples made worse.

    Attributes:
        domain: its name; its samples in the test split, or those that `split.domains` kept aside.
        corruption: what is done to the images.
        severity: of a corruption; several for a view each; 3 where none is given.
    """

    domain: Text | None = None
    corruption: Literal["noise", "blur", "contrast", "shift"] | None = None
    severity: Annotated[tuple[int, ...], Reads(_read_severities)] = ()

    def check(self) -> None:
        """Refuse what does not go together."""
        if (self.domain is None) == (self.corruption is None):
            raise FieldError("needs exactly one of domain and corruption.")
        if self.domain is not None and self.severity:
            raise FieldError("severity: a domain has none.")

    @property
    def texts(self) -> tuple[str, ...]:
        """One for each view, as `stockpot.data.named_views` reads them.

        >>> ViewSpec(corruption="noise", severity=(3, 5)).texts
        ('noise-3', 'noise-5')
        """
        if self.domain is not None:
            return (f"domain={self.domain}",)
        return tuple(f"{self.corruption}-{one}" for one in self.severity or (3,))
