"""Averages of the weights along the way of one training run: SWA, EMA, LAWA and FGE.

SWA: Izmailov et al., arXiv 1803.05407. LAWA: Kaddour, arXiv 2209.14981. FGE: Garipov et al.,
arXiv 1802.10026.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ...errors import StockpotError
from ...experiments.averaging import Averaging, Ema, Fge, Lawa, Swa
from ...ops.means import affine

_TORCH = cast(Any, torch)


def moments(how: Averaging, steps: int, epochs: int) -> Sequence[int]:
    """After which steps, counted from 1, weights are taken.

    Raises:
        StockpotError: where there are none.

    Example:
        >>> moments(Swa(start=0.5), steps=12, epochs=4), moments(Fge(cycle=1), steps=12, epochs=4)
        ([9, 12], [8, 12])
    """
    ends = [-(-steps * at // epochs) for at in range(1, epochs + 1)]
    if isinstance(how, Ema):
        return range(1, steps + 1)
    if isinstance(how, Fge):
        begin, length = fge_cycles(how, steps, epochs)
        found = list(range(begin + length // 2, steps + 1, length))
    else:
        assert isinstance(how, Swa | Lawa)
        begin = round(how.start * steps) if isinstance(how, Swa) else 0
        chosen = range(begin + how.every, steps + 1, how.every) if how.every else ends
        found = [one for one in chosen if one > begin]
    if not found:
        raise StockpotError(
            f"{how} takes no weights in {steps} steps of {epochs} epochs: begin earlier, or more "
            "often."
        )
    return found


def fge_cycles(how: Fge, steps: int, epochs: int) -> tuple[int, int]:
    """The step at which cycles begin, and the steps of one: an even number, at least 2."""
    return round(how.start * steps), max(2, 2 * round(how.cycle * steps / epochs / 2))


class WeightAverage:
    """An average of a network's weights while it is trained, for any training loop.

    Call `after_step(n)` after optimiser step n, counted from 1, and at the end `put_into(network)`.
    Buffers are those of the last moment; statistics of batch normalisation are of no average and
    must be estimated again (`stockpot.reestimate_batch_norm`), as `fit` does.

    Args:
        network: that is trained.
        how: Ema(...), Swa(...), Lawa(...) or Fge(...).
        steps: of the whole training.
        epochs: of the whole training.

    Ema and Swa are kept by torch's AveragedModel, one more copy of the network; Lawa and Fge hold a
    copy for each checkpoint, on the CPU.

    Example:
        >>> network = nn.Linear(1, 1, bias=False)
        >>> average = WeightAverage(network, Swa(start=0.0), steps=2, epochs=2)
        >>> for step, value in ((1, 1.0), (2, 3.0)):
        ...     _ = nn.init.constant_(network.weight, value)
        ...     average.after_step(step)
        >>> average.put_into(network).weight.item()
        2.0
    """

    def __init__(self, network: nn.Module, how: Averaging, *, steps: int, epochs: int) -> None:
        self._network = network
        self._moments = moments(how, steps, epochs)
        self._window: deque[dict[str, Tensor]] = deque(
            maxlen=how.last if isinstance(how, Lawa) else None
        )
        self._averaged: AveragedModel | None = None
        if isinstance(how, Ema | Swa):
            step = _ema(how) if isinstance(how, Ema) else None
            self._averaged = AveragedModel(network, multi_avg_fn=step)

    def after_step(self, step: int) -> None:
        """Take the weights, if it is the step's turn."""
        if step not in self._moments:
            return
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)
        else:
            self._window.append(_copied(self._network))

    @property
    def snapshots(self) -> tuple[dict[str, Tensor], ...]:
        """The checkpoints of Lawa's window, or of Fge, oldest first."""
        return tuple(self._window)

    def put_into(self, network: nn.Module) -> nn.Module:
        """Give a network the average, and everything else as it was at the last moment.

        Raises:
            StockpotError: where nothing was taken yet.
        """
        if self._averaged is not None and int(self._averaged.n_averaged):
            network.load_state_dict(self._averaged.module.state_dict())
        elif self._window:
            network.load_state_dict(self._mean())
        else:
            raise StockpotError("no weights were taken yet, so there is no average of them.")
        return network

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on, in tensors and lists."""
        averaged = self._averaged.state_dict() if self._averaged is not None else None
        return {"averaged": averaged, "window": list(self._window)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])
        self._window.clear()
        self._window.extend(cast(list[dict[str, Tensor]], state["window"]))

    def _mean(self) -> dict[str, Tensor]:
        """Of what is trained; the rest is the newest's."""
        mean, shares = dict(self._window[-1]), [1 / len(self._window)] * len(self._window)
        for name, _ in self._network.named_parameters(remove_duplicate=False):
            mean[name] = affine([one[name] for one in self._window], shares)
        return mean


def _ema(how: Ema) -> Any:
    @torch.no_grad()
    def step(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        n = int(count)
        decay = min(how.decay, (1 + n) / (10 + n)) if how.warmup == "ramp" else how.decay
        _TORCH._foreach_lerp_(averaged, current, 1 - decay)

    return step


def _copied(network: nn.Module) -> dict[str, Tensor]:
    state: dict[str, Tensor] = network.state_dict()
    return {name: one.detach().to("cpu", copy=True) for name, one in state.items()}
