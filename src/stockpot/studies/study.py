"""What a study is: a frozen value that looks at models or pools, and gives a frozen result.

A study costs one folder and one line in `stockpot.studies.STUDIES`: the value in `__init__.py`,
`NAMEResult` in `result.py`, `compute` in `computing.py` and `page` in `page.py`, which are imported
when they are first needed. The command line, the results file, the page and the repetition of a
results file follow from the value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypedDict, TypeVar, Unpack

from ..values.fields import check_fields, kebab_name
from ..values.result import Progress, Result
from ..values.to_plain_data import plain_values
from ..views.models import Model, listed_models

if TYPE_CHECKING:
    from ..pages.page import Page
    from ..training.jobs.pools import Pool
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


MainTable = tuple[type[Any], str]
"""Of results.csv: the type of its rows, and the field of the result that has them."""


class StudyResult(Result):
    """What a study found; a subclass has the field `facts` too, pairs of what it was made of."""

    __slots__ = ()
    main_table: ClassVar[MainTable]

    def table(self) -> tuple[type[Any], Sequence[object]]:
        """Of results.csv."""
        kind, field = self.main_table
        return kind, getattr(self, field)

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it, and the sentences that follow from it."""
        return {"study": self.file_kind, **super().as_dict(), "sentences": list(self.sentences)}


Found_co = TypeVar("Found_co", bound=StudyResult, covariant=True)


class Study:
    """A study of one kind; subclasses are final frozen dataclasses whose fields are settings.

    Python, results files and the command line refuse the same values with the same words.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def name(cls) -> str:
        """What the command line and results files call it."""
        return kebab_name(cls)

    @classmethod
    def result(cls) -> type[StudyResult]:
        """The type of what it gives."""
        return cls._own("result", f"{cls.__name__}Result")

    @classmethod
    def page(cls) -> "Callable[[Any], Page]":
        """What makes a page of what it gives."""
        return cls._own("page", "page")

    @classmethod
    def _own(cls, module: str, name: str) -> Any:
        """What a module of the study's folder has under a name."""
        return getattr(import_module(f"{cls.__module__}.{module}"), name)


class StudyOfModels(Study, Generic[Found_co]):
    """A study that reads checkpoints and runs no network."""

    __slots__ = ()
    fewest: ClassVar[int] = 1
    """Models that it takes at the least."""

    def __call__(
        self, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
    ) -> Found_co:
        """Look at models, which may come from one base."""
        return self._own("computing", "compute")(self, listed_models(models), base, **how)


class StudyOfPools(Study, Generic[Found_co]):
    """A study that runs the networks of an experiment's pools."""

    __slots__ = ()

    def __call__(
        self, trained: "TrainedPools | Sequence[Pool]", *, progress: Progress | None = None
    ) -> Found_co:
        """Look at pools, as `open_pools` gives them."""
        return self._own("computing", "compute")(self, trained, progress=progress)


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
        """What a results file has of it; `read` reads it back."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: plain_values(value) for name, value in told.items() if value not in ((), None)
        }
