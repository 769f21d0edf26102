"""The main job on real data: train a base, fine-tune specialists, merge them, compare, report.

Everything here is the product at work; this file only says which networks, and in what order.
"""

import copy
import json
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ..core import Method
from ..data import (
    Dataset,
    Invert,
    Mixture,
    Rotate,
    Shift,
    Skew,
    Transform,
    digits,
    mixture,
    three_way,
)
from ..engine.merge import merge, merge_to
from ..errors import OutputError
from ..evaluation import (
    Choice,
    Comparison,
    Predictions,
    accuracy,
    choose,
    contender,
    mean_contender,
    pool,
    predict,
    tabulate,
)
from ..extras import optional
from ..methods import Average, ModelStock, TaskArithmetic, Ties
from ..networks import Network, build, load_weights
from ..networks.reproducible import one_thread
from ..report import plot_comparison, save_figure
from ..training import Fit, Ingredient, Kept, train_pool

VIEWS: Mapping[str, Transform | None] = {
    "plain": None,
    "rotated": Rotate(degrees=45),
    "shifted": Shift(right=2),
    "inverted": Invert(),
}
"""What everything is judged on: each held-out image under each of these views."""

TASKS: Mapping[str, Transform | None] = {
    "rotated": VIEWS["rotated"],
    "shifted": VIEWS["shifted"],
    "inverted": VIEWS["inverted"],
    "mostly-0-to-4": Skew(classes=(0, 1, 2, 3, 4)),
    "mostly-5-to-9": Skew(classes=(5, 6, 7, 8, 9)),
    "plain-fast": None,
}
"""What the six ingredients are fine-tuned on."""

BASE = Fit(epochs=6, lr=3e-3)
TUNE = Fit(epochs=4, lr=1e-3)
FAST = Fit(epochs=4, lr=5e-3)
"""The base, the ingredients, and the one of them that is fine-tuned carelessly fast."""

CANDIDATES: Mapping[str, Sequence[Method]] = {
    "uniform-soup": [Average()],
    "task-arithmetic": [TaskArithmetic(scale=tenths / 10) for tenths in range(1, 11)],
    "ties": [
        Ties(density=density, scale=scale)
        for density in (0.2, 0.5, 1.0)
        for scale in (1.0, 2.0, 3.0)
    ],
    "model-stock": [ModelStock()],
}
"""The merges; of several settings, the one that is best on the selection split is used."""

CONTROL = "uniform-soup:independent"

NOTES = """\
cost: network evaluations per sample; [95%]: bootstrap over the test images.
single-mean: what an ingredient drawn at random gets right. single-best: the one
chosen on the selection split. independent: the same six fine-tunes, but each
from a random start of its own: averaging those is the deliberate bad merge."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of the whole that is behind."""


def run_demo(out: Path, *, seed: int = 0, progress: Progress | None = None) -> Comparison:
    """Train, merge and compare under `out`, and give back what the table shows.

    Writes base.safetensors, ingredients/, independent/ (the control's networks), merges/ with a
    merge.json beside each merge, comparison.svg, results.csv and results.json. Files of an earlier
    demo in `out` are replaced. The same seed on the same machine gives the same numbers.

    Args:
        out: folder for the files; made where it is missing.
        seed: of the split, the random starts and the order of the data.
        progress: called as work is done.

    Raises:
        ExtraError: without the extra `stockpot[lab]`.
        OutputError: where `out` cannot be made.
    """
    for module in ("sklearn", "scipy", "matplotlib"):
        optional(module)
    try:
        (out / "merges").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}.") from None
    tell = progress or _silent
    splits = three_way(digits(), selection=0.17, test=0.4, seed=seed)
    selection = mixture(splits.selection, VIEWS).data
    with one_thread(), _hushed():
        family = _train(out, splits.train, selection, seed, tell)
        tell("choosing settings on the selection split", 0.9)
        choices = _choose(family, selection)
        tell("merging and comparing", 0.95)
        merged = _merge(out / "merges", family, choices)
        comparison = _compare(family, choices, merged, mixture(splits.test, VIEWS), seed)
    (out / "results.csv").write_text(comparison.to_csv(), encoding="utf-8")
    (out / "results.json").write_text(json.dumps(comparison.as_dict(), indent=1) + "\n", "utf-8")
    save_figure(plot_comparison(comparison), out / "comparison.svg")
    tell("done", 1.0)
    return comparison


def _silent(_what: str, _done: float) -> None:
    pass


@contextmanager
def _hushed() -> Generator[None]:
    """Withhold the library's advice on settings: the search tries doubtful ones on purpose."""
    log = logging.getLogger("stockpot")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


@dataclass(frozen=True, slots=True, eq=False)
class _Family:
    """The base, what was fine-tuned from it, and the same fine-tunes from starts of their own."""

    base: Kept
    tuned: Sequence[Kept]
    independent: Sequence[Kept]


def _train(out: Path, data: Dataset, selection: Dataset, seed: int, tell: Progress) -> _Family:
    def first(name: str, number: int) -> Ingredient:
        return Ingredient(name=name, how=replace(BASE, seed=100 * seed + number))

    def newborn(ingredient: Ingredient) -> Network:
        return build(
            "cnn",
            num_classes=data.num_classes,
            in_channels=data.in_channels,
            image_size=data.image_size,
            seed=ingredient.how.seed,
        )

    def train(
        pool: Sequence[Ingredient], starts: Sequence[Network], folder: str, begin: float, end: float
    ) -> list[Kept]:
        return train_pool(
            pool,
            starts,
            data,
            selection=selection,
            folder=out / folder,
            origin={"network": "cnn", "data": data.name, "seed": seed},
            progress=lambda name, part: tell(f"training {name}", begin + (end - begin) * part),
        )

    origin = first("base", 0)
    (base,) = train([origin], [newborn(origin)], ".", 0.0, 0.07)
    tasks = [
        Ingredient(
            name=name,
            task=task,
            how=replace(FAST if name == "plain-fast" else TUNE, seed=100 * seed + number),
        )
        for number, (name, task) in enumerate(TASKS.items(), start=1)
    ]
    tuned = train(tasks, [base.network] * len(tasks), "ingredients", 0.07, 0.3)
    strangers = [first(f"start-{number}", number) for number in range(1, len(tasks) + 1)]
    starts = train(strangers, [newborn(one) for one in strangers], "independent/starts", 0.3, 0.7)
    independent = train(tasks, [one.network for one in starts], "independent", 0.7, 0.9)
    return _Family(base, tuned, independent)


def _choose(family: _Family, selection: Dataset) -> dict[str, Choice[Method]]:
    models = [kept.network for kept in family.tuned]
    network = copy.deepcopy(family.base.network)

    def score(method: Method) -> float:
        base = family.base.network if method.needs.base else None
        network.load_state_dict(merge(models, method, base=base))
        return accuracy(predict(network, selection))

    return {name: choose(methods, score) for name, methods in CANDIDATES.items()}


def _merge(
    folder: Path, family: _Family, choices: Mapping[str, Choice[Method]]
) -> dict[str, Network]:
    """The chosen merges and the control: from files to a file, then read back."""
    jobs = [(name, choice.value, family.tuned) for name, choice in choices.items()]
    merged: dict[str, Network] = {}
    for name, method, models in [*jobs, (CONTROL, Average(), family.independent)]:
        path = folder / f"{name.replace(':', '-')}.safetensors"
        base = family.base.path if method.needs.base else None
        merge_to(path, [kept.path for kept in models], method, base=base, overwrite=True)
        merged[name] = load_weights(copy.deepcopy(family.base.network), path)
    return merged


def _compare(
    family: _Family,
    choices: Mapping[str, Choice[Method]],
    merged: Mapping[str, Network],
    test: Mixture,
    seed: int,
) -> Comparison:
    def seen(network: Network) -> Predictions:
        return predict(network, test.data)

    count = len(family.tuned)
    strangers = [seen(kept.network) for kept in family.independent]
    contenders = [
        contender("base", "single", seen(family.base.network), n=1),
        *pool(
            {kept.name: seen(kept.network) for kept in family.tuned},
            [kept.selection_accuracy for kept in family.tuned],
        ),
        *(contender(name, "merge", seen(merged[name]), n=count) for name in choices),
        mean_contender("single-mean:independent", "control", strangers),
        contender(CONTROL, "control", seen(merged[CONTROL]), n=count),
    ]
    by_name = {one.method: one for one in contenders}
    best = max(choices, key=lambda name: choices[name].score)
    beside_best = by_name[best].minus(by_name["single-best"])
    beside_ensemble = by_name[best].minus(by_name["logits-ensemble"])
    beside_mean = by_name["uniform-soup"].minus(by_name["single-mean"])
    beside_control = by_name["uniform-soup"].minus(by_name[CONTROL])
    return Comparison(
        title="Six fine-tunes of one digit network, merged: one network for four views",
        rows=tabulate(contenders, test.parts, split="test", seed=seed),
        differences=(beside_best, beside_ensemble, beside_mean, beside_control),
        choices=tuple(
            f"{name}: {choice.value} was the best of {len(choice.tried)} settings on the "
            f"selection split ({100 * choice.score:.1f}%)."
            for name, choice in choices.items()
            if len(choice.tried) > 1
        ),
        conclusion=f"On the test split {best}, the best merge on the selection split, is "
        f"{beside_best.phrase()} and {beside_ensemble.phrase()} at 1 network evaluation instead of "
        f"{count}; uniform-soup is {beside_mean.phrase()} and {beside_control.phrase()}.",
    )


def print_demo(comparison: Comparison, console: Console) -> None:
    """The table, what was chosen and where, and the conclusion."""
    parts = list(dict.fromkeys(row.part for row in comparison.rows if row.part != "all"))
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in ("accuracy on test, %", "all views [95%]", *parts, "cost"):
        table.add_column(heading, justify="left" if not table.columns else "right", no_wrap=True)
    last: str | None = None
    for row in comparison.overall():
        if last not in (None, row.kind):
            table.add_section()
        last = row.kind
        values = {one.part: one.value for one in comparison.rows if one.method == row.method}
        table.add_row(
            row.method,
            f"{100 * row.value:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]",
            *(f"{100 * values[part]:.1f}" for part in parts),
            str(row.forwards),
        )
    console.print(table)
    console.print(NOTES, highlight=False, markup=False)
    for line in (*comparison.choices, comparison.conclusion):
        console.print(line, highlight=False, markup=False)
