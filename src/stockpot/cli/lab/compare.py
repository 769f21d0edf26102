"""`stockpot compare EXPERIMENT.yml --out RUN`, or of checkpoints that exist already."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter
from rich import box
from rich.table import Table

from ...errors import OutputError
from ..command_line import UsageError, spoken, told_by_the_command_line
from ..console import note, out, print_json, say, steps
from ..flags import Base, Counts, Device, Jobs, Json, Quiet, Words

if TYPE_CHECKING:
    from ...evaluation.results.comparison import Comparison, Row

Folder = Annotated[Path, Parameter(help="Folder of the run, with report.html and results.")]
Spec = Annotated[str | None, Parameter(help="A name, or a YAML mapping such as {name: cnn, ...}.")]
VIEWS = "Of the test split, to be judged on too, such as noise-3,blur-all,domain=twitter."
DOMAINS = "The only ones that the splits hold; others of the test split are kept for views."
TEST_SPLIT = (
    "A file that says which samples the checkpoints have not seen: positions from 0 (.txt, .json), "
    "or what stockpot train has written."
)
COUNTS = "How many go in, such as 2,3,5; default 2 to all."


def compare(
    *given: str,
    out_: Annotated[Folder, Parameter(name="--out")],
    network: Spec = None,
    data: Spec = None,
    base: Base = None,
    counts: Annotated[Counts, Parameter(help=COUNTS)] = None,
    subsets: int | None = None,
    methods: Annotated[Words, Parameter(help="Columns and methods, with commas.")] = None,
    metric: str | None = None,
    margin: float | None = None,
    views: Annotated[Words, Parameter(help=VIEWS)] = None,
    domains: Annotated[Words, Parameter(help=DOMAINS)] = None,
    test_split: Annotated[Path | None, Parameter(help=TEST_SPLIT)] = None,
    seed: int | None = None,
    jobs: Jobs = None,
    device: Device | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare keeping the best network, souping them, and ensembling them, on the same data.

    With --network and --data the arguments are two or more checkpoints. Otherwise there is one, an
    experiment's YAML, which says all of this itself: what is not trained yet is trained first.

    Args:
        given: An experiment, or with --network and --data two or more models.
        subsets: How many subsets of each count are drawn; 3 by default.
        metric: accuracy, auroc, nll, ece, or package.module:function.
        margin: A difference of the metric that does not matter; 0.005 by default.
        seed: Of a fresh split and the subsets; 0 by default.
    """
    existing = network is not None or data is not None
    if existing and (network is None or data is None or len(given) < 2):
        raise UsageError("with --network and --data give both, and two or more models.")
    if not existing and len(given) != 1:
        raise UsageError(
            "give one experiment: stockpot compare EXPERIMENT.yml --out RUN; or models with "
            "--network and --data."
        )
    own = {
        "--base": base,
        "--counts": counts,
        "--subsets": subsets,
        "--methods": methods,
        "--metric": metric,
        "--margin": margin,
        "--views": views,
        "--domains": domains,
        "--test-split": test_split,
        "--seed": seed,
    }
    _refuse_given(
        {"--jobs": jobs, "--device": device} if existing else own,
        "models that exist are not trained" if existing else f"{given[0]} says that itself",
    )
    with told_by_the_command_line():
        from ...recipes.reading.yaml import name_or_mapping

        specs = [
            text and name_or_mapping(text, flag)
            for text, flag in ((network, "--network"), (data, "--data"))
        ]
        if views is not None:
            from ...data import named_views

            named_views(views)
    with steps(quiet=quiet or json) as progress:
        if existing:
            from ...evaluation.contests.columns import WITHOUT_TRAINING
            from ...evaluation.contests.compare import MARGIN
            from ...evaluation.contests.models import compare as compare_given

            table = compare_given(
                given,
                *cast(Any, specs),
                base=base,
                counts=counts or (),
                subsets=3 if subsets is None else subsets,
                methods=methods or WITHOUT_TRAINING,
                metric=metric,
                margin=MARGIN if margin is None else margin,
                views=views or (),
                domains=domains or (),
                test_split=test_split,
                seed=seed or 0,
                progress=progress,
            )
        else:
            from ...experiments.experiment import read_experiment
            from ...training.jobs.compare import compare_experiment

            experiment = read_experiment(given[0])
            try:
                table = compare_experiment(
                    experiment, out_, jobs=jobs, device=device or "auto", progress=progress
                )
            except KeyboardInterrupt:
                note("what is trained is kept: the same command goes on from there.")
                raise
        from ...report import write_report

        write_report(table, out_, spoken())
    if json:
        print_json({"out": str(out_), **table.as_dict()})
    else:
        print_comparison(table)
        say(f"\n{out_ / 'report.html'} has the figures; results.csv and results.json every number.")
    return 0


def _refuse_given(flags: Mapping[str, object], because: str) -> None:
    """Flags that would be ignored are refused."""
    idle = [flag for flag, value in flags.items() if value is not None]
    if idle:
        raise UsageError(f"{', '.join(idle)}: {because}; leave it out.")


def print_comparison(result: "Comparison") -> None:
    """What was found on the test split, the largest N first, and on its views; the conclusion."""
    rows = [row for row in result.summary() if row.split == "test"]
    if not rows:
        raise OutputError("the comparison has no row of the test split.")
    from ...evaluation.results.comparison import ALL_TASKS

    metric = rows[0].metric
    shown = [row for row in rows if row.metric == metric]
    if any(row.data == ALL_TASKS for row in shown):
        print_tasks(rows, metric)
        out.print(result.conclusion)
        return
    cells = list(dict.fromkeys((row.network, row.data) for row in shown))
    for cell in cells:
        mine = [row for row in shown if (row.network, row.data) == cell]
        title = " on ".join(filter(None, cell))
        best = result.verdict.best if result.verdict else ""
        out.print(_table(title, metric, mine, best))
        if best:
            out.print("* best on the test split")
        seen = [row for row in result.parted(metric) if (row.network, row.data) == cell]
        if seen:
            out.print(_parts(metric, seen))
    out.print(result.conclusion)
    if result.origin:
        out.print(result.origin)


def print_tasks(rows: "list[Row]", metric: str) -> None:
    """Methods down; the mean over tasks and each task across, at the largest N of each network."""
    from ...evaluation.results.comparison import ADAPTED, ADAPTED_WORDS, ALL_TASKS, NORMALISED

    quotient = f"{NORMALISED} {metric}"
    for network in dict.fromkeys(row.network for row in rows):
        mine = [row for row in rows if row.network == network]
        most = max(row.n for row in mine)
        at = {(row.method, row.data, row.metric): row for row in mine if row.n == most}
        tasks = [name for name in dict.fromkeys(row.data for row in mine) if name != ALL_TASKS]
        has_quotients = any(key[2] == quotient for key in at)
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1),
            show_edge=False,
            title=f"{network}: {most} tasks".removeprefix(": "),
        )
        table.add_column(f"{metric} on test", no_wrap=True)
        for name in ("mean [95%]", *(["normalised"] if has_quotients else []), *tasks, "cost"):
            table.add_column(name, justify="right")
        for method in dict.fromkeys(method for method, _, _ in at):
            mean = at[method, ALL_TASKS, metric]
            values = [at[method, task, metric] for task in tasks]
            values[:0] = [at[method, ALL_TASKS, quotient]] if has_quotients else []
            table.add_row(
                method,
                _with_interval(mean),
                *(f"{one.value:.4f}" for one in values),
                str(mean.forwards),
            )
        out.print(table)
        adapted = dict.fromkeys(row.method for row in mine if row.kind == ADAPTED)
        for method in adapted:
            out.print(f"{method}: {ADAPTED_WORDS}.")


def _with_interval(row: "Row") -> str:
    """The value and its interval, or why there is none."""
    if math.isfinite(row.low):
        return f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]"
    from ...pages.tables import why_no_interval

    return f"{row.value:.4f} [{why_no_interval(row)}]"


def _table(title: str, metric: str, rows: "list[Row]", best: str) -> Table:
    counts = sorted({row.n for row in rows}, reverse=True)
    most = counts[0]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, title=title or None)
    table.add_column(f"{metric} on test", no_wrap=True)
    table.add_column(f"N = {most} [95%]", justify="right", no_wrap=True)
    for n in counts[1:]:
        table.add_column(f"N = {n}", justify="right", no_wrap=True)
    table.add_column("cost", justify="right")
    by_place = {(row.method, row.n): row for row in rows}
    for method in dict.fromkeys(row.method for row in rows):
        first = by_place.get((method, most))
        cell = _with_interval(first) if first else ""
        others = [by_place.get((method, n)) for n in counts[1:]]
        table.add_row(
            f"{method} *" if method == best else method,
            cell,
            *(f"{row.value:.4f}" if row else "" for row in others),
            str(first.forwards) if first else "",
        )
    return table


def _parts(metric: str, rows: "list[Row]") -> Table:
    """The parts and views down, the methods that are compared in pairs across."""
    from ...evaluation.contests.outcomes import KEPT

    by_place = {(row.part, row.method): row for row in rows}
    methods = dict.fromkeys(row.method for row in rows)
    main = [one for one in methods if one.partition(":")[0] in KEPT] or list(methods)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column(f"{metric}, N = {rows[0].n}", no_wrap=True)
    for method in main:
        table.add_column(method, justify="right")
    for part in dict.fromkeys(row.part for row in rows):
        found = [by_place.get((part, method)) for method in main]
        name = "test" if part == "all" else part
        table.add_row(name, *(f"{row.value:.4f}" if row else "" for row in found))
    return table
