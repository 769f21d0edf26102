"""`stockpot compare EXPERIMENT.yml --out RUN`, or of checkpoints that exist already."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter

from ...errors import OutputError
from ..command_line import UsageError, spoken, told_by_the_command_line
from ..console import note, print_json, print_table, say, steps
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
        say("")
        say(result.conclusion)
        return
    cells = list(dict.fromkeys((row.network, row.data) for row in shown))
    for cell in cells:
        mine = [row for row in shown if (row.network, row.data) == cell]
        title = " on ".join(filter(None, cell))
        best = result.verdict.best if result.verdict else ""
        _print_counts(title, metric, mine, best)
        seen = [row for row in result.parted(metric) if (row.network, row.data) == cell]
        if seen:
            _print_parts(metric, seen)
    say("")
    say(result.conclusion)
    if result.origin:
        say(result.origin)


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
        between = ["normalised"] if has_quotients else []
        columns = [f"{metric} on test", "mean [95%]", *between, *tasks, "cost"]
        table: list[list[str]] = []
        for method in dict.fromkeys(method for method, _, _ in at):
            mean = at[method, ALL_TASKS, metric]
            values = [at[method, task, metric] for task in tasks]
            values[:0] = [at[method, ALL_TASKS, quotient]] if has_quotients else []
            written = [f"{one.value:.4f}" for one in values]
            table.append([method, _with_interval(mean), *written, str(mean.forwards)])
        title = f"{network}: {most} tasks".removeprefix(": ")
        words = f"mean: over the tasks, with its 95% interval. {_COST}"
        if has_quotients:
            words += " normalised: as a share of what the task's own network reaches."
        print_table(title, columns, table, words)
        adapted = dict.fromkeys(row.method for row in mine if row.kind == ADAPTED)
        for method in adapted:
            say(f"{method}: {ADAPTED_WORDS}.")


_COST = "cost: network evaluations per sample."


def _with_interval(row: "Row") -> str:
    """The value and its interval, or why there is none."""
    if math.isfinite(row.low):
        return f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]"
    from ...pages.tables import why_no_interval

    return f"{row.value:.4f} [{why_no_interval(row)}]"


def _print_counts(title: str, metric: str, rows: "list[Row]", best: str) -> None:
    """Methods down, and across how many networks went in, the most first."""
    most, *others = sorted({row.n for row in rows}, reverse=True)
    by_place = {(row.method, row.n): row for row in rows}
    table: list[list[str]] = []
    for method in dict.fromkeys(row.method for row in rows):
        first = by_place.get((method, most))
        fewer = [by_place.get((method, n)) for n in others]
        interval, cost = ("", "") if first is None else (_with_interval(first), str(first.forwards))
        written = [f"{row.value:.4f}" if row else "" for row in fewer]
        name = f"{method} *" if method == best else method
        table.append([name, interval, *written, cost])
    columns = [f"{metric} on test", f"N = {most} [95%]", *(f"N = {n}" for n in others), "cost"]
    words = f"N: how many networks went in. [95%]: interval over pools and test samples. {_COST}"
    if best:
        words += " *: best on the test split."
    print_table(title, columns, table, words)


def _print_parts(metric: str, rows: "list[Row]") -> None:
    """The parts and views down, the methods that are compared in pairs across."""
    from ...evaluation.contests.outcomes import KEPT

    by_place = {(row.part, row.method): row for row in rows}
    methods = dict.fromkeys(row.method for row in rows)
    main = [one for one in methods if one.partition(":")[0] in KEPT] or list(methods)
    table: list[list[str]] = []
    for part in dict.fromkeys(row.part for row in rows):
        across = [by_place.get((part, method)) for method in main]
        name = "test" if part == "all" else part
        table.append([name, *(f"{row.value:.4f}" if row else "" for row in across)])
    say("")
    print_table("", [f"{metric}, N = {rows[0].n}", *main], table)
