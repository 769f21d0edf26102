"""Which replies count: what is not finite, misshapen or incomplete is dropped with its reason."""

import math
from collections.abc import Iterable, Mapping

from torch import Tensor

from .messages import Dropped, Reply, State


def sorted_out(
    replies: Iterable[Reply],
    asked: Iterable[int],
    round_: int,
    expected: Mapping[str, tuple[int, ...]],
    base: State,
) -> tuple[list[Reply], list[Dropped]]:
    """The replies that count, by client, and the others with a reason for each.

    Args:
        replies: in any order.
        asked: the clients of this round.
        round_: which it is.
        expected: names and shapes of what a reply holds.
        base: the global model; a tensor that is in both has its dtype.
    """
    wanted, good, dropped = set(asked), dict[int, Reply](), list[Dropped]()
    for reply in sorted(replies, key=lambda one: one.client):
        reason = _refusal(reply, round_, expected, base)
        if reply.client not in wanted:
            reason = "it was not asked in this round"
        elif reply.client in good:
            reason = "it answered twice; its first answer counts"
        if reason:
            dropped.append(Dropped(reply.client, reason))
        else:
            good[reply.client] = reply
    return list(good.values()), dropped


def _refusal(
    reply: Reply, round_: int, expected: Mapping[str, tuple[int, ...]], base: State
) -> str | None:
    """Why a reply does not count; None where it does."""
    if reply.round != round_:
        return f"its answer is of round {reply.round}"
    if reply.examples < 1:
        return f"it says that it learned from {reply.examples} examples"
    if missing := [name for name in expected if name not in reply.state]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"it has no '{missing[0][:80]}'{more}"
    if unknown := [name for name in reply.state if name not in expected]:
        return f"it has '{unknown[0][:80]}', which the global model has not"
    for name, shape in expected.items():
        one = reply.state[name]
        if tuple(one.shape) != shape:
            return f"its '{name[:80]}' is {tuple(one.shape)}; expected {shape}"
        if name in base and one.dtype != base[name].dtype:
            return f"its '{name[:80]}' is {one.dtype}; expected {base[name].dtype}"
        if not finite(one):
            return f"its '{name[:80]}' holds NaN or infinity"
    for name, one in reply.statistics.items():
        if tuple(one.shape) != expected.get(name) or not one.is_floating_point():
            return f"its statistics of '{name[:80]}' do not fit the tensor"
        if not finite(one) or (one < 0).any():
            return f"its statistics of '{name[:80]}' are not finite or below 0"
    for name, scope in reply.scopes.items():
        if not (math.isfinite(scope.mean) and 0 <= scope.std < math.inf):
            return f"its scope of '{name[:80]}' is {tuple(scope)}"
    return None


def finite(tensor: Tensor) -> bool:
    """Whether every element is; one pass without a mask, where the sum tells."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())
