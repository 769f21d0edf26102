"""What a study is: a frozen value that looks at models or pools, and gives a frozen result.

A study costs one folder and one line in `stockpot.studies.STUDIES`: the value in `__init__.py`, its
result, what computes it, and its page. The command line, the results file, the page and the
repetition of a results file follow from the value.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, Unpack, cast

from torch import Tensor

from ..checkpoints.entry import Checkpoint
from ..values.fields import kebab_name
from ..values.plain import plain_values, rows_csv

if TYPE_CHECKING:
    from ..pages.page import Page
    from .pools import TrainedPools

RoleName = Literal[
    "counter", "norm-stat", "scalar", "embedding", "vector", "expert-stack", "conv", "matrix"
]
"""The roles of tensors that a study may look at; a tied alias goes with what it is tied to."""
WEIGHTS: tuple[RoleName, ...] = ("conv", "matrix")
PARAMETERS: tuple[RoleName, ...] = (
    *("conv", "matrix", "embedding", "expert-stack", "vector", "scalar"),
)
"""All that is trained."""

Model = str | Path | Mapping[str, Tensor] | Checkpoint
"""A checkpoint on disk, one that is open already, or a state dict."""

Progress = Callable[[str, float], None]
"""Called with what is in work, and the fraction of the whole that is behind."""


class How(TypedDict, total=False):
    """How a study of checkpoints goes about it, whatever it looks at.

    Attributes:
        names: of the models; by default what tells their paths apart.
        private: names of tensors that are each model's own, such as heads.
        memory: budget for buffers, in bytes or such as "2GiB".
        workers: threads; by default one per core, at most eight, as far as memory allows.
        progress: called with what is done and the fraction of the whole.
    """

    names: Sequence[str]
    private: Sequence[str]
    memory: int | str
    workers: int | None
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A table for the terminal: what most people want to see of a result first."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


class Result(ABC):
    """What a study found: a frozen dataclass that says it in words and goes into files.

    A subclass has the fields `title`, its question, and `facts`, pairs of what it was made of.
    """

    __slots__ = ()
    study: ClassVar[str]
    """The name of the study in results files."""

    @property
    @abstractmethod
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words that are computed from the numbers."""

    @abstractmethod
    def table(self) -> tuple[type[Any], Sequence[object]]:
        """The main table: the dataclass of its rows, and the rows."""

    def overview(self) -> Sequence[Overview]:
        """What the terminal shows of it."""
        return ()

    def derived(self) -> dict[str, object]:
        """What follows from the fields, and files have nevertheless."""
        return {}

    def to_csv(self) -> str:
        """The main table under a header of the column names."""
        return rows_csv(*self.table())

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it: a number that is not finite is null."""
        found = {"study": self.study, **asdict(cast(Any, self)), **self.derived()}
        found["sentences"] = self.sentences
        return {key: plain_values(value) for key, value in found.items()}


class Study(ABC):
    """A study of one kind; subclasses are final frozen dataclasses whose fields are settings.

    A subclass calls `check_fields(self)` in `__post_init__`, so that Python, results files and the
    command line refuse the same values with the same words.
    """

    __slots__ = ()

    @classmethod
    def name(cls) -> str:
        """What the command line and results files call it."""
        return kebab_name(cls)

    @classmethod
    @abstractmethod
    def result(cls) -> type[Result]:
        """The type of what it gives."""

    @classmethod
    @abstractmethod
    def page(cls) -> "Callable[[Any], Page]":
        """What makes a page of what it gives."""


class StudyOfModels(Study):
    """A study that reads checkpoints and runs no network."""

    __slots__ = ()

    @abstractmethod
    def __call__(
        self, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
    ) -> Result:
        """Look at models, which may come from one base."""


class StudyOfPools(Study):
    """A study that runs the networks of an experiment's pools."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, trained: "TrainedPools", *, progress: Progress | None = None) -> Result:
        """Look at pools, as `open_pools` gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a study looked at, as a results file keeps it, so that it can be repeated.

    Attributes:
        models, base, pool: of a study of models: paths, and which pool of a run.
        source: of a study of pools: an experiment's file, or the folder of its run.
    """

    models: tuple[str, ...] = ()
    base: str | None = None
    pool: int | None = None
    source: str | None = None

    @classmethod
    def of(
        cls,
        models: Sequence[str | Path],
        base: str | Path | None = None,
        pool: int | None = None,
    ) -> "Subject":
        """Paths as they were given."""
        return cls(
            models=tuple(map(str, models)), base=None if base is None else str(base), pool=pool
        )

    def plain(self) -> dict[str, object]:
        """What a results file has of it; `read_plain` reads it back."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: plain_values(value) for name, value in told.items() if value not in ((), None)
        }
