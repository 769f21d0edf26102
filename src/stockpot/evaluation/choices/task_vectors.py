"""What the coefficients of AdaMerging multiply: task vectors as they are, or after others' steps.

Shapes: K tasks.
"""

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from ...engine.merge import merge
from ...experiments.adaptation import Adamerging
from ...methods import Average, Cart, Ties
from ...networks.weights import save_state
from ...ops.signs import agreeing, elect_sign
from .coefficients import State, Stored


@contextmanager
def vectors_of(
    how: Adamerging, base: State, states: Sequence[State]
) -> Generator[tuple[State, Sequence[State]]]:
    """The origin, and K states whose differences from it are the task vectors.

    What is made here is written to files of a temporary folder, one model at a time, and read back
    tensor by tensor; it is gone with the context.

    Args:
        how: which vectors.
        base: what the networks were fine-tuned from.
        states: of the networks, of the same tensors.

    Raises:
        StockpotError: where the states do not fit together.
    """
    if how.vectors == "plain":
        yield base, states
        return
    with tempfile.TemporaryDirectory(prefix="stockpot-") as folder:
        if how.vectors == "ties":
            yield base, list(_elected(how.density, base, states, Path(folder)))
        else:
            centre = merge(states, Average())
            yield centre, list(_centred(how.rank, centre, states, Path(folder)))


def _elected(
    density: float, base: State, states: Sequence[State], folder: Path
) -> Iterator[Stored]:
    """θ_0 + δ_k where δ_k, trimmed, has the elected sign: TIES' first two steps.

    TIES of one model is its trimming.
    """
    trimmed = [
        _kept(merge([state], Ties(density=density), base=base), folder / f"trimmed-{k}.safetensors")
        for k, state in enumerate(states)
    ]
    for k, one in enumerate(trimmed):
        kept = {name: _agreed(trimmed, k, name, base[name]) for name in one}
        yield _kept(kept, folder / f"elected-{k}.safetensors")


def _centred(rank: float, centre: State, states: Sequence[State], folder: Path) -> Iterator[Stored]:
    """θ_avg + SVD_r(θ_k - θ_avg) of matrices as `Cart` picks them, and θ_k of all the rest.

    CART of one model around a base is its cut. The rest adds up to nothing at equal coefficients.
    """
    cut = Cart(rank=rank, around="base")
    for k, state in enumerate(states):
        yield _kept(merge([state], cut, base=centre), folder / f"centred-{k}.safetensors")


def _agreed(trimmed: Sequence[State], k: int, name: str, origin: Tensor) -> Tensor:
    if not origin.is_floating_point():
        return trimmed[k][name]
    total = trimmed[0][name] - origin
    for one in trimmed[1:]:
        total.add_(one[name]).sub_(origin)
    sign = elect_sign(total)
    return agreeing(trimmed[k][name] - origin, sign).mul_(sign).add_(origin)


def _kept(state: State, path: Path) -> Stored:
    save_state(state, path, {})
    return Stored(path)
