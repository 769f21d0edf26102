"""What training adds to a plain fit, as values that any fit takes."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from torch import Tensor, nn

from ...experiments.additions import Additions as Wanted
from ...experiments.additions import InMerge, ScopePenalty
from ...experiments.averaging import Averaging
from ...networks.layers import EVERY_PARAMETER
from .in_merge import InModelMerge
from .proximal import ProximalTerm
from .scope_penalty import ScopeRegularizer, Target

Penalty = Callable[[nn.Module], Tensor]
"""A term of the loss that depends on the weights alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Additions:
    """What `fit` does beside fitting; nothing, as it stands.

    Attributes:
        penalties: terms of the loss, such as ScopeRegularizer and ProximalTerm.
        merging: in-model merging, before each step.
        averaging: of the weights along the way; the network that comes out is the average, its
            batch-norm statistics estimated again on the data it was fitted to.
        snapshots: a folder for what Lawa and Fge have taken, one file each; None keeps none.
    """

    penalties: tuple[Penalty, ...] = ()
    merging: InModelMerge | None = None
    averaging: Averaging | None = None
    snapshots: Path | None = None


NOTHING = Additions()

Find = Callable[[ScopePenalty], Target]
"""Where a target scope comes from that is no constant and not the start."""


def additions_of(
    wanted: Wanted | None, start: nn.Module, *, seed: int, find: Find, snapshots: Path
) -> Additions:
    """What a file asks for, made ready for one training.

    Args:
        wanted: the keys.
        start: the network as training finds it.
        seed: of draws.
        find: the target of `init`, `fused` and `file`.
        snapshots: a folder for them.
    """
    if wanted is None:
        return NOTHING
    scope, proximal, merging = wanted.scope, wanted.proximal, wanted.in_merge
    penalties = list[Penalty]()
    if scope is not None:
        target = _target(scope, start, find)
        penalties.append(ScopeRegularizer(target, scope.weight, scope.layers))
    if proximal is not None:
        layers = proximal.layers or EVERY_PARAMETER
        penalties.append(ProximalTerm(start, proximal.weight, layers))
    merge = _merge(merging, seed) if merging else None
    if merge is not None:
        merge.names(start)  # what it cannot do is said before hours of training
    return Additions(
        penalties=tuple(penalties),
        merging=merge,
        averaging=wanted.averaging,
        snapshots=snapshots,
    )


def _target(scope: ScopePenalty, start: nn.Module, find: Find) -> Target:
    match scope.target.kind:
        case "start":
            return start
        case "constant":
            assert scope.target.std is not None
            return scope.target.mean, scope.target.std
        case _:
            return find(scope)


def _merge(wanted: InMerge, seed: int) -> InModelMerge:
    chosen = {one.name: getattr(wanted, one.name) for one in fields(InMerge)}
    return InModelMerge(**chosen, seed=seed)
