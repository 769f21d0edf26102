"""`stockpot study NAME ... --out RUN`: a command for each study, made of its fields.

`stockpot study RESULTS.json --out RUN` repeats the study that a results file holds.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import App, Group, Parameter

from ...studies import FAMILY, STUDIES
from ...studies.study import Study, StudyOfModels, StudyOfPools, StudyResult, Subject
from ...values.family import default_fields
from ...values.fields import nearest
from ...values.result import Result
from ..command_line import UsageError, spoken, told_by_the_command_line
from ..console import note, print_json, print_table, say, steps
from ..fields import field_flags, given_fields, made_command, optional_flag
from ..flags import Base, Device, Folder, Jobs, Json, Memory, Quiet, Workers

if TYPE_CHECKING:
    from ...values.result import Progress

_LOOK = Group("What is looked at", sort_key=1)
_RUN = Group("How it runs", sort_key=2)
_WEIGHTS = frozenset({".safetensors", ".pt", ".pth", ".bin", ".ckpt"})
"""Suffixes of files that are no experiment."""

Models = Annotated[
    str, Parameter(help="Checkpoints, also BASE+ADAPTER; or the folder of an experiment's run.")
]
Source = Annotated[
    str, Parameter(help="An experiment, trained in OUT/run; or the folder of a finished run.")
]
Pool = Annotated[
    int | None,
    Parameter(help="The seed of the run's pool; its first without it.", group=_RUN),
]
study_app = App(name="study", help="Why merging works: stockpot study NAME ... --out RUN.")


def study_command(
    cls: type[Study], perform: Callable[..., int], folder: inspect.Parameter
) -> Callable[..., int]:
    """A command whose signature is the study's subject and fields.

    Args:
        cls: the study.
        perform: called with the study, what the command line gives it to look at, and the flags.
        folder: the flag of where files go.
    """

    def command(*given: str, **flags: Any) -> int:
        with told_by_the_command_line():
            study = FAMILY.make(cls.name(), given_fields(cls, flags))
        return perform(study, given, **flags)

    of_models = issubclass(cls, StudyOfModels)
    first = inspect.Parameter(
        "models" if of_models else "source",
        inspect.Parameter.VAR_POSITIONAL,
        annotation=Models if of_models else Source,
    )
    parameters = [
        first,
        folder,
        *field_flags(cls, default_fields(cls), _LOOK),
        *_how(cls),
        optional_flag("json", Annotated[Json, Parameter(group=_RUN)], False),
        optional_flag("quiet", Annotated[Quiet, Parameter(group=_RUN)], False),
    ]
    return made_command(cls.name(), cls.__doc__, command, parameters)


def _look_at(study: Study, given: tuple[str, ...], *, out_: Path, **flags: Any) -> int:
    kind = type(study)
    if issubclass(kind, StudyOfModels):
        usage = f"stockpot study {kind.name()} MODEL... --out RUN."
        subject = subject_of(given, flags, usage)
    elif len(given) != 1 or Path(given[0]).suffix in _WEIGHTS:
        raise UsageError(
            f"{kind.name()} runs networks, on data that an experiment names: give one experiment, "
            f"or the folder of its run, and no checkpoints; got {len(given)} argument(s). stockpot "
            f"study {kind.name()} EXPERIMENT.yml --out OUT."
        )
    else:
        subject = Subject(source=given[0])
    return perform(study, subject, out_, **flags)


def _how(cls: type[Study]) -> list[inspect.Parameter]:
    if not issubclass(cls, StudyOfModels):
        return [
            optional_flag("jobs", Annotated[Jobs, Parameter(group=_RUN)], None),
            optional_flag("device", Annotated[Device, Parameter(group=_RUN)], "auto"),
        ]
    return [
        optional_flag("base", Base, None),
        optional_flag("pool", Pool, None),
        optional_flag("memory", Annotated[Memory, Parameter(group=_RUN)], "2GiB"),
        optional_flag("workers", Annotated[Workers, Parameter(group=_RUN)], None),
    ]


def subject_of(given: tuple[str, ...], flags: dict[str, Any], usage: str) -> Subject:
    """Models, as far as the command line alone shows that they can be looked at.

    Takes --base and --pool out of the flags.
    """
    if not given:
        raise UsageError(f"no model given: {usage}")
    return Subject.of(given, flags.pop("base", None), flags.pop("pool", None))


def perform(
    study: Study,
    subject: Subject,
    out: Path | None,
    *,
    json: bool = False,
    quiet: bool = False,
    **how: Any,
) -> int:
    """Look, write what was found where a folder is given, and say it."""
    if out is not None:
        from ...report.files import refuse_run

        refuse_run(out)
    with steps(quiet=quiet or json) as progress:
        found = _look(study, subject, out, progress, how)
    if out is not None:
        from ...report.files import write_study

        write_study(found, out, spoken(), made=(study, subject))
    if json:
        print_json({**({"out": str(out)} if out else {}), **found.as_dict()})
    else:
        show(found)
        if out is not None:
            page = out / "report.html"
            say(f"\n{page} has the figures; results.csv and results.json every number.")
    return 0


def show(found: Result) -> None:
    """On one screen."""
    for one in found.screen():
        if isinstance(one, str):
            say(one)
        else:
            print_table(one.title, one.columns, one.rows, one.words)


def _look(
    study: Study,
    subject: Subject,
    out: Path | None,
    progress: "Progress | None",
    how: dict[str, Any],
) -> StudyResult:
    if isinstance(study, StudyOfModels):
        from ...studies.runs import models_of

        chosen = models_of(subject.models, subject.base, subject.pool)
        if len(chosen.models) < study.fewest:
            raise UsageError("one model alone has nothing to merge with: give two or more.")
        if chosen.note:
            note(chosen.note)
        look = cast("StudyOfModels[StudyResult]", study)
        names, private = chosen.names, chosen.private
        return look(
            chosen.models, chosen.base, names=names, private=private, progress=progress, **how
        )
    assert isinstance(study, StudyOfPools)
    assert subject.source is not None
    assert out is not None
    from ...studies.pools import open_pools

    try:
        trained = open_pools(subject.source, out, progress=progress, **how)
        return cast("StudyOfPools[StudyResult]", study)(trained, progress=progress)
    except KeyboardInterrupt:
        note("finished networks are kept: the same command goes on from there.")
        raise


def repeat(
    results: Annotated[Path, Parameter(help="The results.json of a study, or its folder.")],
    /,
    *,
    out_: Folder,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Repeat the study that a results file holds, with its settings and on the same models.

    Paths are those of the results file; relative ones are taken from the current directory.
    """
    if not results.exists() and results.suffix != ".json":
        names = [cls.name() for cls in STUDIES]
        raise UsageError(f"there is no study '{str(results)[:80]}'{nearest(str(results), names)}")
    from ...report.files import read_made

    study, subject = read_made(results)
    return perform(study, subject, out_, json=json, quiet=quiet)


_OUT = inspect.Parameter("out_", inspect.Parameter.KEYWORD_ONLY, annotation=Folder)
for _study in STUDIES:
    study_app.command(study_command(_study, _look_at, _OUT), name=_study.name())
study_app.default(repeat)
