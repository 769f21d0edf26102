"""Networks of different tasks merged into one body, each task keeping its own head.

Shapes: K tasks.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from ..core import Method
from ..data import Splits
from ..engine.merge import merge
from ..errors import MergeError, StockpotError
from ..fields import kebab_name
from ..methods import Average
from .bootstrap import Resampler
from .comparison import Comparison, Kind, Row
from .intervals import Difference
from .metrics import METRICS, Metric
from .predictions import BATCH, Tally, predict
from .scoring import Ledger, Place, Scored, score_predictions
from .singles import JUDGED, split_of
from .trial import Entrant

MERGED = "uniform-soup"
"""What the plain average of bodies is called."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One task: its network in evaluation mode, and its data."""

    name: str
    network: nn.Module
    splits: Splits


def cross_task(
    tasks: Sequence[Task],
    *,
    private: Sequence[str] = ("head.*",),
    methods: Sequence[Method] = (Average(),),
    base: nn.Module | None = None,
    baselines: Mapping[str, Mapping[str, nn.Module]] | None = None,
    title: str = "One body for several tasks",
    network: str = "",
    batch_size: int = BATCH,
) -> Comparison:
    """Merge the tasks' bodies, put each task's own head back, and judge each task on its own data.

    For each task the table has `individual`, its own network; each merge (the plain average is
    uniform-soup); and each baseline, such as networks that were trained on all tasks jointly. A
    row's `data` is the task; `differences` compare each merge with the individual networks, over
    the samples of the task, in the order of the tasks.

    Args:
        tasks: two or more, with different names.
        private: globs of the tensors that stay each network's own; the others must have the same
            names and shapes in all networks.
        methods: how the bodies are merged.
        base: what the networks were fine-tuned from, where a method needs it.
        baselines: for a name in the table, a network for each task.
        title: of the table.
        network: what it calls the networks.
        batch_size: samples of one forward pass.

    Raises:
        StockpotError: where there are no two tasks, a baseline lacks one, nothing is shared or
            private, or what should be shared differs.

    Source: the cross-task table of arXiv 2411.09263; private heads as in its discussion.
    """
    _refuse(tasks, baselines or {})
    contenders: dict[str, tuple[Kind, Mapping[str, nn.Module]]] = {
        "individual": ("single", {task.name: task.network for task in tasks})
    }
    for method in methods:
        name = MERGED if method == Average() else kebab_name(type(method))
        if name in contenders:
            raise StockpotError(f"cross-task: '{name}' stands twice among the methods.")
        contenders[name] = "merge", merge_bodies(tasks, method, private=private, base=base)
    for name, networks in (baselines or {}).items():
        contenders[name] = "control", networks
    tally = Tally()
    judged = [_judge(task, contenders, network, batch_size, tally) for task in tasks]
    merges = [name for name, (kind, _) in contenders.items() if kind == "merge"]
    differences = tuple(one for _, some in judged for one in some if one.a.split(":")[0] in merges)
    return Comparison(
        title=title,
        rows=tuple(row for rows, _ in judged for row in rows),
        differences=differences,
        conclusion=" ".join(f"{one.a} is {one.phrase()}." for one in differences),
        facts=(
            ("networks", network),
            ("tasks", ", ".join(task.name for task in tasks)),
            ("private tensors", ", ".join(private)),
            ("intervals", "95%. They cover test samples only."),
            ("samples run through networks", f"{sum(tally.samples.values()):,}"),
        ),
    )


def merge_bodies(
    tasks: Sequence[Task],
    method: Method,
    *,
    private: Sequence[str] = ("head.*",),
    base: nn.Module | None = None,
) -> dict[str, nn.Module]:
    """For each task a new network: the merged body, and that task's private tensors.

    Raises:
        MergeError: where nothing is shared or private, or what should be shared differs.
    """
    bodies = [_body(task.network.state_dict(), private) for task in tasks]
    for task, body in zip(tasks, bodies, strict=True):
        if not body or len(body) == len(task.network.state_dict()):
            raise MergeError(
                f"cross-task: {', '.join(private)} makes {'all' if not body else 'none'} of "
                f"{task.name}'s tensors private; give globs of the names of its head."
            )
    of_base = None if base is None else _body(base.state_dict(), private)
    merged = merge(bodies, method, base=of_base if method.needs.base else None)
    networks: dict[str, nn.Module] = {}
    for task in tasks:
        network = copy.deepcopy(task.network)
        network.load_state_dict(task.network.state_dict() | merged)
        networks[task.name] = network
    return networks


def _body(state: Mapping[str, Tensor], private: Sequence[str]) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in state.items()
        if not any(fnmatchcase(name, glob) for glob in private)
    }


def _judge(
    task: Task,
    contenders: Mapping[str, tuple[Kind, Mapping[str, nn.Module]]],
    network: str,
    batch_size: int,
    tally: Tally,
) -> tuple[list[Row], list[Difference]]:
    """Rows of one task, and how each contender differs from the individual network."""
    usual = "auroc" if task.splits.test.is_multilabel else "accuracy"
    metrics: list[Metric] = [METRICS[name] for name in dict.fromkeys((usual, "accuracy", "nll"))]
    resamplers = {split: Resampler(split_of(task.splits, split).originals) for split in JUDGED}
    ledger, scored = Ledger(network, task.name), dict[str, Scored]()
    for name, (kind, networks) in contenders.items():
        seen = {
            split: predict(
                networks[task.name],
                split_of(task.splits, split),
                batch_size=batch_size,
                tally=tally,
                called=f"{name}/{task.name}",
            )
            for split in JUDGED
        }
        entrant = Entrant(method=name, kind=kind, forwards=1, predictions=seen)
        scored[name] = score_predictions(seen, metrics, resamplers)
        count = 1 if kind == "single" else len(contenders["individual"][1])
        ledger.add(Place(count, 0, 0), entrant, scored[name])
    key = "test", usual
    own = scored["individual"].scores[key]
    differences = [
        Difference(f"{name}:{task.name}", "individual", one.scores[key].minus(own).interval())
        for name, one in scored.items()
        if name != "individual"
    ]
    return ledger.rows, differences


def _refuse(tasks: Sequence[Task], baselines: Mapping[str, Mapping[str, nn.Module]]) -> None:
    names = [task.name for task in tasks]
    if len(names) < 2 or len(set(names)) < len(names):
        raise StockpotError(
            f"cross-task: give two or more tasks with different names; got {names}."
        )
    for name, networks in baselines.items():
        missing = [task for task in names if task not in networks]
        if missing:
            raise StockpotError(f"cross-task: baseline '{name}' has no network for {missing}.")
