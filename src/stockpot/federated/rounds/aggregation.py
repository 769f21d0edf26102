"""Several replies into one global model, by any merge method or by multi-Krum.

Shapes: K models, S elements of a block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

import stockpot.engine.merge as engine

from ...core import SEGMENT, Sums
from ...errors import MergeError
from ...experiments.aggregating import Rule
from ...experiments.krum import MultiKrum
from ...methods import Average
from ...ops.spectra.gram import gram
from .lora import UP, applied, pairs_of, products, refactored, stacked
from .messages import Reply, State


def aggregate(
    base: State, replies: Sequence[Reply], rule: Rule, *, seed: int = 0, rank: int = 0
) -> dict[str, Tensor]:
    """The next global model.

        weights w_k = n_k / Σ n     base θ_0: the global model that the clients began with

    Methods that take no weights get none. Tensors that no reply holds stay as they are.

    Args:
        base: the global model.
        replies: at least one, all of the same tensors, finite; in the order of their clients.
        rule: a merge method, or multi-krum, which averages the models it has chosen unweighted.
        seed: of methods that draw at random.
        rank: of the merged change, where replies hold factors; 0 for as it comes.

    Returns:
        New tensors where something was merged.

    Raises:
        StockpotError: the method cannot merge so many models.

    Example:
        >>> base = {"w": torch.zeros(1)}
        >>> one = {"w": torch.ones(1)}
        >>> aggregate(base, [Reply(0, 1, one, 30), Reply(1, 1, base, 10)], Average())
        {'w': tensor([0.7500])}
    """
    if not replies:
        raise MergeError("there is no reply to merge.")
    if any(name.endswith(UP) for name in replies[0].state):
        return _of_factors(base, replies, rule, seed, rank)
    return _merged(base, replies, rule, seed)


def _of_factors(
    base: State, replies: Sequence[Reply], rule: Rule, seed: int, rank: int
) -> dict[str, Tensor]:
    """Products are merged; the average by stacked factors, exactly."""
    if isinstance(rule, Average):
        factors = stacked([reply.state for reply in replies], shares_of(replies))
        return applied(base, refactored(products(factors), rank) if rank else factors)
    whole = [replace(reply, state=applied(base, pairs_of(reply.state))) for reply in replies]
    merged = _merged(base, whole, rule, seed)
    if not rank:
        return merged
    weights = pairs_of(replies[0].state)
    return applied(base, refactored({one: merged[one] - base[one] for one in weights}, rank))


def shares_of(replies: Sequence[Reply]) -> list[float]:
    """Each client's share of all examples."""
    total = sum(reply.examples for reply in replies)
    return [reply.examples / total for reply in replies]


def _merged(base: State, replies: Sequence[Reply], rule: Rule, seed: int) -> dict[str, Tensor]:
    states = [reply.state for reply in replies]
    names = list(states[0])
    start = {name: base[name] for name in names}
    if isinstance(rule, MultiKrum):
        chosen = krum_members(start, states, rule)
        merged = engine.merge([states[k] for k in chosen], Average(), allow_non_finite=True)
    else:
        merged = engine.merge(
            states,
            rule,
            base=start if rule.needs.base else None,
            statistics=[reply.statistics for reply in replies] if rule.needs.statistics else (),
            weights=None if rule.needs.weights == "unused" else shares_of(replies),
            seed=seed,
            workers=1,
            allow_non_finite=True,  # replies were looked at when they came
        )
    return {**base, **merged}


def krum_members(base: State, states: Sequence[State], rule: MultiKrum) -> tuple[int, ...]:
    """Positions of the models that multi-Krum keeps, in order.

    Distances are over all floating-point tensors, from float64 inner products of the differences to
    the base; of equal scores the first counts.

    Raises:
        MergeError: too few models for the rule.
    """
    count = len(states)
    if words := rule.misfit(count):
        raise MergeError(words)
    gram_KK = _inner(base, states)
    norms_K = gram_KK.diagonal()
    distance_KK = (norms_K[:, None] + norms_K[None, :] - 2 * gram_KK).clamp(min=0)
    distance_KK.fill_diagonal_(float("inf"))
    near_KJ = distance_KK.sort(dim=1).values[:, : count - rule.byzantine - 2]
    order = near_KJ.sum(dim=1).argsort(stable=True)[: rule.keep or count - rule.byzantine]
    return tuple(sorted(int(one) for one in order))


def _inner(base: State, states: Sequence[State]) -> Tensor:
    """<θ_i - θ_0, θ_j - θ_0> over all tensors, [K, K]; 2^15 elements of each model at a time."""
    partials = list[Tensor]()
    for name, start in base.items():
        if not start.is_floating_point():
            continue
        flat, rows = start.flatten(), [state[name].flatten() for state in states]
        for at in range(0, len(flat), SEGMENT):
            piece = slice(at, at + SEGMENT)
            deltas = [(row[piece].double() - flat[piece].double()) for row in rows]
            partials.append(gram(deltas).total())
    return Sums(torch.stack(partials)).total()


def expected_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor."""
    return {name: tuple(one.shape) for name, one in state.items()}
