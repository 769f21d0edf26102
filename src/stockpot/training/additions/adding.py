"""What training adds to a plain fit, as values that any fit takes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...experiments.additions import Additions as Wanted
from ...experiments.additions import AveragingSpec, InMergeSpec, LayersSpec, ScopeSpec
from ...networks.layers import EVERY_PARAMETER, Layers
from .averaging import Averaging, Ema, Fge, Lawa, Swa
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

Find = Callable[[ScopeSpec], Target]
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
        penalties.append(ScopeRegularizer(target, scope.weight, layers_of(scope.layers)))
    if proximal is not None:
        layers = layers_of(proximal.layers) if proximal.layers else EVERY_PARAMETER
        penalties.append(ProximalTerm(start, proximal.weight, layers))
    merge = _merge(merging, seed) if merging else None
    if merge is not None:
        merge.names(start)  # what it cannot do is said before hours of training
    return Additions(
        penalties=tuple(penalties),
        merging=merge,
        averaging=_averaging(wanted.averaging),
        snapshots=snapshots,
    )


def _target(scope: ScopeSpec, start: nn.Module, find: Find) -> Target:
    match scope.target.kind:
        case "start":
            return start
        case "constant":
            assert scope.target.std is not None
            return scope.target.mean, scope.target.std
        case _:
            return find(scope)


def _merge(wanted: InMergeSpec, seed: int) -> InModelMerge:
    names = set(InMergeSpec.model_fields) - {"layers"}
    fields: dict[str, Any] = {name: getattr(wanted, name) for name in names}
    return InModelMerge(**fields, layers=layers_of(wanted.layers), seed=seed)


def layers_of(wanted: LayersSpec) -> Layers:
    """The choice that a file makes."""
    return Layers(roles=wanted.roles, match=wanted.match, leave=wanted.leave)


def _averaging(wanted: AveragingSpec | None) -> Averaging | None:
    if wanted is None:
        return None
    kinds = {"ema": Ema, "swa": Swa, "lawa": Lawa, "fge": Fge}
    return kinds[wanted.kind](**wanted.fields())
