"""The main job on real data: train ingredients, compare what can be made of them, merge, report.

Everything here is the product at work on an experiment that a user could have written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from ...core import Method
from ...engine.merge import merge_to
from ...errors import OutputError
from ...evaluation.results.comparison import Comparison
from ...experiments.experiment import Experiment, parse_experiment
from ...libraries import optional
from ...methods import Average, ModelStock, Ties
from ...recipes.reading.yaml import load_yaml
from ...report import write_report
from ...running.executor import one_thread
from ...training.jobs.compare import compare_experiment
from ...values.result import Progress

EXPERIMENT = """\
# Ten fine-tunes of one small network on scikit-learn's digits. Each sees all training images of two
# digits and a fifth of the others: it gets better at two and worse at eight. What is a soup of them
# worth, beside the best of them and beside all ten as an ensemble, on images that none has seen?
network: cnn
data: digits
split: {selection: 0.2, test: 0.4}
ingredients:
  count: 10
  share: pretrained
  pretrain: {epochs: 5, lr: 0.003}
  epochs: 8
  batch_size: 32
  vary:
    seed: true
    lr: [0.002, 0.001]
    part:
      - {classes: [0, 1], keep: 0.2}
      - {classes: [2, 3], keep: 0.2}
      - {classes: [4, 5], keep: 0.2}
      - {classes: [6, 7], keep: 0.2}
      - {classes: [8, 9], keep: 0.2}
      - {classes: [0, 5], keep: 0.2}
      - {classes: [1, 6], keep: 0.2}
      - {classes: [2, 7], keep: 0.2}
      - {classes: [3, 8], keep: 0.2}
      - {classes: [4, 9], keep: 0.2}
compare:
  counts: [2, 3, 5, 7, 10]
  subsets: 3
  seeds: 3
  methods:
    - single-mean
    - single-best
    - uniform-soup
    - greedy-soup
    - ties
    - model-stock
    - logits-ensemble
    - features-ensemble
    - greedy-logits-ensemble
"""
"""What is trained and compared; the demo writes it out, so that it can be changed and run again."""

CONTROL: Mapping[str, Any] = {
    "subsets": 1,
    "seeds": 1,
    "methods": ["single-mean", "uniform-soup", "logits-ensemble"],
}
"""What the control compares of all its networks, trained alike from random starts of their own."""

MERGES: Mapping[str, Method] = {
    "uniform-soup": Average(),
    "greedy-soup": Average(),
    "ties": Ties(),
    "model-stock": ModelStock(),
}
"""The merges of the first pool that are kept as files."""

_MAIN = 0.75
"""Share of the progress that the experiment takes, before its control."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What was found.

    Attributes:
        comparison: of the experiment.
        control: of networks that share no start.
        merges: files with a merge.json beside each.
    """

    comparison: Comparison
    control: Comparison
    merges: tuple[Path, ...]

    def sentence(self) -> str:
        """The deliberate bad merge, in words."""
        rows = {
            row.method: row
            for row in self.control.summary()
            if row.split == "test" and row.metric == "accuracy"
        }
        single, soup, ensemble = (
            f"{100 * rows[name].value:.1f}%" for name in cast(Sequence[str], CONTROL["methods"])
        )
        return (
            f"The deliberate bad merge: {rows['uniform-soup'].n} networks trained alike, each from "
            f"a random start of its own, are right on {single} each and on {ensemble} as an "
            f"ensemble; their uniform soup on {soup}."
        )


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Demo:
    """Train, compare and merge under `out`, and give back what was found.

    Writes experiment.yml and what `stockpot compare experiment.yml --out OUT` makes of it (a folder
    for each pool, results.csv, results.json, report.html), the same of the control in
    independent/, and merges/. What is trained already is not trained again. The same seed on the
    same machine gives the same numbers.

    Args:
        out: folder for the files; made where it is missing.
        seed: of the split, the random starts and the order of the data.
        jobs: networks trained at once; None for one per core.
        progress: called as work is done.
        command: what was run, for the pages.

    Raises:
        ExtraError: without the extra `stockpot[lab]`.
        OutputError: where `out` cannot be made, or holds another experiment.
    """
    for module in ("sklearn", "scipy", "torchmetrics", "matplotlib", "jinja2"):
        optional(module)
    text = f"{EXPERIMENT}seed: {seed}\n"
    wanted = parse_experiment(load_yaml(text, "experiment.yml"))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}.") from None

    def tell(begin: float, end: float, what: str, part: float) -> None:
        if progress:
            progress(what, begin + (end - begin) * part)

    with one_thread():
        comparison = compare_experiment(wanted, out, jobs=jobs, progress=partial(tell, 0.0, _MAIN))
        control = compare_experiment(
            _control(wanted),
            out / "independent",
            jobs=jobs,
            progress=partial(tell, _MAIN, 1.0),
        )
    (out / "experiment.yml").write_text(text, encoding="utf-8")
    write_report(comparison, out, command)
    write_report(control, out / "independent", command)
    return Demo(comparison, control, _merge(out, seed, comparison))


def _control(wanted: Experiment) -> Experiment:
    """The same training without a common start: averaging such networks must fail."""
    plain = wanted.resolved()
    plain["ingredients"]["share"] = "none"
    plain["compare"] |= {**CONTROL, "counts": [wanted.ingredients.count]}
    return parse_experiment(plain)


def _merge(out: Path, seed: int, comparison: Comparison) -> tuple[Path, ...]:
    """Merges of the first pool, from files to files."""
    pool = out / f"pool-{seed}"
    everyone = sorted(pool.glob("ingredient-*.safetensors"))
    accepted = {
        one.candidate
        for one in comparison.decisions
        if one.accepted and (one.seed, one.n) == (seed, len(everyone))
    }
    merged: list[Path] = []
    for name, method in MERGES.items():
        some = [one for one in everyone if name != "greedy-soup" or one.stem in accepted]
        base = pool / "base.safetensors" if method.needs.base else None
        path = out / "merges" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        merge_to(path, some, method, base=base, overwrite=True)
        merged.append(path)
    return tuple(merged)
