"""Networks of several tasks, and the one body that is made of theirs; each keeps its own head."""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from ...core import Method
from ...data import Splits
from ...engine.merge import merge
from ...errors import StockpotError
from ...experiments.adaptation import Adamerging
from ...networks import headed, private_names
from ..choices.adamerging import Adapted, Learner, Progress, adapt
from ..choices.coefficients import refuse_different
from ..predictions.views import split_of

HEAD_BATCH = 4
"""Samples on which the head of a network is found."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskNetwork:
    """One task: its network in evaluation mode, and its data."""

    name: str
    network: nn.Module
    splits: Splits

    @property
    def sizes(self) -> str:
        """Its name, classes, and samples of each split, in words."""
        parts = (self.splits.train, self.splits.selection, self.splits.test)
        sizes = ", ".join(f"{len(part):,}" for part in parts)
        return f"{self.name} ({self.splits.train.num_classes} classes; {sizes})"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TaskPool:
    """Networks of several tasks, trained with one seed's luck.

    Attributes:
        seed: which pool.
        tasks: two or more, with different names.
        base: what their bodies were fine-tuned from, where a method needs it: at least the tensors
            that are shared, by name.
        controls: for a name in the table, a network for each task, such as those of one body that
            was trained on all tasks jointly.

    Raises:
        StockpotError: where there are no two tasks, or a control lacks one.
    """

    seed: int
    tasks: Sequence[TaskNetwork]
    base: Mapping[str, Tensor] | None = None
    controls: Mapping[str, Mapping[str, nn.Module]] = field(
        default_factory=dict[str, Mapping[str, nn.Module]]
    )

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if len(names) < 2 or len(set(names)) < len(names):
            raise StockpotError(
                f"cross-task: give two or more tasks with different names; got {names}."
            )
        for name, networks in self.controls.items():
            missing = [task for task in names if task not in networks]
            if missing:
                raise StockpotError(f"cross-task: '{name}' has no network for {missing}.")

    def own(self, private: Sequence[str] = ()) -> frozenset[str]:
        """Names of the tensors that stay each task's own: its head's, and what globs match."""
        first = self.tasks[0]
        inputs = first.splits.train.batch(slice(HEAD_BATCH))
        return private_names(headed(first.network, inputs), private)


def merge_bodies(
    tasks: Sequence[TaskNetwork],
    method: Method,
    own: Collection[str],
    *,
    base: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> dict[str, nn.Module]:
    """For each task a new network: the merged body, and that task's own tensors.

    Args:
        tasks: whose bodies are merged, in this order.
        method: how.
        own: names of the tensors that are not merged.
        base: what the bodies were fine-tuned from, where the method needs it.
        seed: of a method that draws at random.

    Raises:
        MergeError: where what should be shared differs, or the method cannot merge so many.
    """
    bodies = [body_of(task.network.state_dict(), own) for task in tasks]
    of_base = body_of(base, own) if base is not None and method.needs.base else None
    merged = merge(bodies, method, base=of_base, seed=seed)
    return {task.name: with_body(task.network, merged) for task in tasks}


def adapt_bodies(
    tasks: Sequence[TaskNetwork],
    how: Adamerging,
    own: Collection[str],
    *,
    base: Mapping[str, Tensor],
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, nn.Module], Adapted]:
    """The same with a body that AdaMerging learns on the tasks' unlabelled inputs.

    Args:
        tasks: whose bodies are merged, in this order.
        how: which coefficients, vectors and inputs.
        own: names of the tensors that are not merged.
        base: what the bodies were fine-tuned from.
        seed: of the order of inputs.
        progress: called after each step.

    Returns:
        The networks, and how their body came about.

    Raises:
        StockpotError: where what should be shared differs, or an entropy is not finite.
    """
    learners = [
        Learner(task.name, task.network, split_of(task.splits, how.inputs)) for task in tasks
    ]
    bodies = [body_of(task.network.state_dict(), own) for task in tasks]
    shared = body_of(base, own)
    refuse_different([shared, *bodies], ["base", *(task.name for task in tasks)])
    found = adapt(learners, shared, bodies, how, seed=seed, progress=progress)
    return {task.name: with_body(task.network, found.body) for task in tasks}, found


def with_body_of(task: TaskNetwork, other: TaskNetwork, own: Collection[str]) -> nn.Module:
    """One task's own tensors on another task's body: a new network."""
    return with_body(task.network, body_of(other.network.state_dict(), own))


def body_of(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """The shared tensors of a network."""
    return {name: tensor for name, tensor in state.items() if name not in own}


def with_body(network: nn.Module, body: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a network on another body."""
    copied = copy.deepcopy(network)
    copied.load_state_dict({**network.state_dict(), **body})
    return copied
