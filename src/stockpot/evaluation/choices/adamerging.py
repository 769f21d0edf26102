"""AdaMerging (Yang et al., Adaptive model merging for multi-task learning, arXiv 2310.02575).

Shapes: K tasks, T tensors, B samples of a batch, N samples, L classes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...data import Dataset
from ...errors import StockpotError
from ...experiments.adaptation import Adamerging
from ...ops.means import affine
from ...values.result import Progress
from ..scores.losses import entropy_of
from .coefficients import State, averaged_names, combine, inner_products, learnable_names
from .task_vectors import vectors_of


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """One task as AdaMerging sees it.

    Attributes:
        name: its random numbers come from it and the seed.
        network: with the task's head, in evaluation mode. It is run with a merged body in place of
            its own, and is not changed.
        inputs: what it is adapted on; labels are not looked at.
    """

    name: str
    network: nn.Module
    inputs: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """The merged body, and how it came about.

    Attributes:
        body: every shared tensor.
        names: of the tensors that have coefficients.
        coefficients: as they were used, float64 [T, K].
        entropies: mean over tasks, before each step.
    """

    body: Mapping[str, Tensor]
    names: tuple[str, ...]
    coefficients: Tensor
    entropies: tuple[float, ...]


def adapt(
    learners: Sequence[Learner],
    base: State,
    states: Sequence[State],
    how: Adamerging,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Adapted:
    """Learn how much of each task vector goes into the body, so that heads become sure.

    θ^t = θ_0^t + Σ_k λ_k^t τ_k^t for each tensor t;   λ minimises Σ_k mean_x H(p_k(x; θ)),

    with H the entropy of what task k's head says of its own unlabelled inputs x, one batch of each
    task at each step of Adam with β = (0.9, 0.999). The gradient of λ_k^t is <dL/dθ^t, τ_k^t>.
    CART's vectors start at the average, which stands in place of θ_0.

    Float buffers, such as statistics of batch normalisation, are the plain average of the states'
    throughout: a variance with free coefficients may be negative, and torch has no gradient with
    respect to it. Other buffers are the base's.

    Args:
        learners: K tasks, networks and inputs.
        base: θ_0 of all that is shared, on the networks' device.
        states: θ_k of the same tensors, in the order of the learners; `Stored` ones are read tensor
            by tensor at each step and never held.
        how: see `Adamerging`.
        seed: of the order of inputs.
        progress: called after each step.

    Raises:
        StockpotError: where numbers of tasks and states differ, or an entropy is not finite.

    Cost: at each step a forward and a backward pass for each task, and two sweeps over the states.
        Memory: the body, its gradient twice while tasks are added up, and one tensor of two states.
    Deviations: the authors' loop takes two batches of each task at a step; this one takes one, as
        the paper says, in an order that sees every input once before any again.
    Source: Yang et al., ICLR 2024, arXiv 2310.02575.
    """
    if not learners or len(learners) != len(states):
        raise StockpotError(
            f"adamerging: {len(learners)} tasks have {len(states)} networks; there must be one for "
            "each."
        )
    with vectors_of(how, base, states) as (origin, ends):
        run = _Run(learners, origin, ends, how, _buffers(learners[0].network, states, base), seed)
        return run.result(*run.learn(progress or _silent))


def _silent(_what: str, _done: float) -> None:
    pass


def _buffers(network: nn.Module, states: Sequence[State], base: State) -> dict[str, Tensor]:
    """What is shared and has no coefficients."""
    share, averaged = [1 / len(states)] * len(states), averaged_names(network)
    return {
        name: affine([state[name] for state in states], share) if name in averaged else base[name]
        for name, _ in network.named_buffers()
        if name in base
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    learners: Sequence[Learner]
    base: State
    states: Sequence[State]
    how: Adamerging
    buffers: Mapping[str, Tensor]
    seed: int

    def names(self) -> tuple[str, ...]:
        """Shared parameters, each once."""
        return tuple(one for one in learnable_names(self.learners[0].network) if one in self.base)

    def learn(self, tell: Progress) -> tuple[Tensor, tuple[float, ...]]:
        """Coefficients [T, K] and the entropy before each step."""
        names, count = self.names(), len(self.states)
        rows = len(names) if self.how.level == "layer" else 1
        raw = torch.full((rows, count), self.how.init, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([raw], lr=self.how.lr)
        batches = [_batches(one, self.how.batch_size, self.seed) for one in self.learners]
        entropies: list[float] = []
        for step in range(self.how.steps):
            used = self._used(raw, len(names))
            entropy, toward_TK = self._gradient(names, used.detach(), batches)
            (raw.grad,) = torch.autograd.grad(used, raw, toward_TK)
            optimiser.step()  # pyright: ignore[reportUnknownMemberType]
            entropies.append(entropy)
            tell(f"adapting, entropy {entropy:.3f}", (step + 1) / self.how.steps)
        return self._used(raw, len(names)).detach(), tuple(entropies)

    def _used(self, raw: Tensor, tensors: int) -> Tensor:
        cut = raw.clamp(0, 1) if self.how.clamp == "unit" else raw
        return cut.expand(tensors, -1)

    def _gradient(
        self, names: Sequence[str], used_TK: Tensor, batches: Sequence[Iterator[Tensor]]
    ) -> tuple[float, Tensor]:
        """Mean entropy over tasks, and the gradient of their sum for each coefficient.

        Inner products are linear: the tasks' gradients are added up before they are taken.
        """
        theta = combine(names, self.states, used_TK, self.base)
        leaves = [one.requires_grad_() for one in theta.values()]
        body, total = {**self.buffers, **theta}, 0.0
        gradients: list[Tensor | None] = [None] * len(names)
        for learner, coming in zip(self.learners, batches, strict=True):
            logits_BL = cast(Tensor, functional_call(learner.network, body, (next(coming),)))
            wide_BL = logits_BL.to(torch.promote_types(logits_BL.dtype, torch.float32))
            loss = entropy_of(wide_BL, several=learner.inputs.is_multilabel).mean()
            if not loss.isfinite():
                raise StockpotError(
                    f"adamerging: the entropy of task '{learner.name}' is not finite: lower lr or "
                    "init, or clamp to unit."
                )
            total += float(loss.detach())
            _add(gradients, torch.autograd.grad(loss, leaves, allow_unused=True))
        toward_TK = inner_products(gradients, names, self.states, self.base)
        return total / len(self.learners), toward_TK

    def result(self, used_TK: Tensor, entropies: tuple[float, ...]) -> Adapted:
        """The body of the last coefficients."""
        names = self.names()
        merged = combine(names, self.states, used_TK, self.base)
        tied = _tied(self.learners[0].network)
        others = {name: merged[first] for name, first in tied.items() if first in merged}
        return Adapted({**self.buffers, **merged, **others}, names, used_TK, entropies)


def _tied(network: nn.Module) -> dict[str, str]:
    """For each further name of a parameter its first one."""
    every = dict(network.named_parameters(remove_duplicate=False))
    firsts = {id(one): name for name, one in network.named_parameters()}
    return {name: firsts[id(one)] for name, one in every.items() if firsts[id(one)] != name}


def _add(sums: list[Tensor | None], parts: Sequence[Tensor | None]) -> None:
    """Add up in place; what no loss depends on stays nothing."""
    for t, part in enumerate(parts):
        held = sums[t]
        if part is not None:
            sums[t] = part if held is None else held.add_(part)


def _batches(learner: Learner, size: int, seed: int) -> Iterator[Tensor]:
    """Inputs without end: shuffled passes, one after the other."""
    data = learner.inputs
    key = hashlib.sha256(f"{seed}/{learner.name}".encode()).digest()[:7]
    generator = torch.Generator().manual_seed(int.from_bytes(key))
    device = next(learner.network.parameters()).device
    queue_N = torch.empty(0, dtype=torch.int64)
    while True:
        while len(queue_N) < size:
            queue_N = torch.cat([queue_N, torch.randperm(len(data), generator=generator)])
        taken_B, queue_N = queue_N[:size], queue_N[size:]
        yield data.batch(taken_B).to(device)
