"""`stockpot diagnose MODEL...`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .compare import spec
from .console import note, print_json, print_table, say, steps
from .flags import Flag
from .spoken import spoken
from .usage import UsageError, told_by_the_command_line

if TYPE_CHECKING:
    from ..studies.diagnosis.result import Diagnosis, Prospect

Folder = Annotated[
    Path | None, Parameter(name="--out", help="Folder for report.html and results, if wanted.")
]
Base = Annotated[str | None, Parameter(help="What the models were fine-tuned from.")]
Network = Annotated[
    str | None, Parameter(help="What the models are, for gradients: a name or a YAML mapping.")
]
Data = Annotated[str | None, Parameter(help="What they learned: a name or a YAML mapping.")]


def diagnose(
    *models: str,
    base: Base = None,
    network: Network = None,
    data: Data = None,
    out_: Folder = None,
    pool: int | None = None,
    memory: str = "2GiB",
    workers: int | None = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Will these models merge? Told from their weights before anything is merged.

    One start or several, different tensors, copies, an outlier, scales, conflicts, batch norm;
    which methods can be used, what quality is forecast of each, and what to do first.

    Args:
        models: Checkpoints, also BASE+ADAPTER; or the folder of an experiment's run.
        pool: The seed of the run's pool; its first without it.
        memory: Budget for buffers, such as 512MiB or 8GiB.
        workers: Threads; by default one per core, at most eight.
        json: Print one JSON object on stdout and nothing else.
        quiet: The verdict alone; no notes, no progress.
    """
    if not models:
        raise UsageError("no model given: stockpot diagnose MODEL MODEL...")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1; got {workers}.")
    if (network is None) != (data is None):
        raise UsageError("--network and --data go together: give both, or none.")
    with told_by_the_command_line():
        specs = spec(network, "--network"), spec(data, "--data")
    from ..studies import diagnose as compute
    from ..studies.runs import models_of

    if len(models) == 1 and not Path(models[0]).is_dir():
        raise UsageError("one model alone has nothing to merge with: give two or more.")
    if out_ is not None:
        from ..report.studies import refuse_run

        refuse_run(out_)
    given = models_of(models, base, pool)
    if len(given.models) == 1:
        raise UsageError("one model alone has nothing to merge with: give two or more.")
    if given.note and not quiet:
        note(given.note)
    with steps(quiet=quiet or json) as progress:
        found = compute(
            given.models,
            given.base,
            names=given.names,
            private=given.private,
            memory=memory,
            workers=workers,
            network=specs[0],
            data=specs[1],
            progress=progress,
        )
    if out_ is not None:
        from ..report.studies import write_study

        write_study(found, out_, spoken())
    if json:
        print_json({**({"out": str(out_)} if out_ else {}), **found.as_dict()})
    elif quiet:
        say(found.verdict)
    else:
        show(found)
        if out_ is not None:
            say(f"\n{out_ / 'report.html'} has the figures; results.json every number.")
    return 0


def show(found: "Diagnosis") -> None:
    """One screen: the verdict, why, the models, the methods, and what to do first."""
    say(found.verdict)
    for reason in found.reasons:
        say(f"  - {reason}")
    say("")
    shown = [
        (one.name, _start(found, one.origin), one.moved, one.scale, one.far, _remark(one.why))
        for one in found.models
    ]
    headings = ("model", "origin", "moved", "scale", "distance", "")
    print_table("", headings, shown)
    say("")
    _show_prospects(found)
    for number, step in enumerate(found.steps, 1):
        say(f"{number}. {step.said}")
        if step.command:
            say(f"   {step.command}")


def _start(found: "Diagnosis", number: int) -> str:
    return "unknown" if found.origin == "unknown" else f"start {number}"


def _called(one: "Prospect") -> str:
    return f"{one.method}, statistics estimated again" if one.mended else one.method


def _remark(why: tuple[str, ...]) -> str:
    return f"outlier: {'; '.join(why)}" if why else ""


def _show_prospects(found: "Diagnosis") -> None:
    """Those of which there is a forecast line by line, the others by what they lack."""
    rows = [
        (_called(one), f"{one.quality:.3f} [{one.low:.3f}, {one.high:.3f}]", one.reason or "fits")
        for one in found.prospects
        if one.forecast
    ]
    if rows:
        print_table("", ("method", "forecast quality", ""), rows)
        say(f"How good forecasts have been: {found.forecast}")
    elif found.forecast:
        say(found.forecast)
    rest = dict[str, list[str]]()
    for one in found.prospects:
        if not one.forecast:
            rest.setdefault(one.reason or "fits, without a forecast", []).append(one.method)
    for reason, methods in rest.items():
        say(f"{', '.join(methods)}: {reason}")
    say("")
