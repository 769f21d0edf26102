"""Penalties, in-model merging and averages inside other people's training loops.

A penalty depends on the weights alone, so its gradient is added once, just before an optimiser
step, whatever the loop does to its loss: accumulation, several devices, a scaler.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ExtraError, StockpotError
from ...libraries import optional
from .adding import Additions, Penalty
from .averaging import WeightAverage


def add_gradients(network: nn.Module, penalties: Sequence[Penalty]) -> Tensor:
    """Add the gradients of penalties to those that a network has; their sum, out of the graph.

    Call it between `backward()` and the optimiser's step, and before gradients are clipped.

    Example:
        >>> network = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(network.weight, 3.0)
        >>> add_gradients(network, [lambda one: one.weight.square().sum()])
        tensor(9.)
        >>> network.weight.grad
        tensor([[6.]])
    """
    with torch.enable_grad():
        total = torch.stack([penalty(network) for penalty in penalties]).sum()
        total.backward()  # pyright: ignore[reportUnknownMemberType]
    return total.detach()


class _Loop:
    """What both libraries' callbacks have in common, step by step."""

    def __init__(self, added: Additions) -> None:
        self.added = added
        self.average: WeightAverage | None = None
        self._step, self._done, self._kept = -1, -1, dict[str, Any]()

    def begin(self, network: nn.Module, steps: int, epochs: int) -> None:
        if self.added.averaging:
            how = self.added.averaging
            self.average = WeightAverage(network, how, steps=steps, epochs=epochs)
            if self._kept:
                self.average.load_state_dict(self._kept)

    def before_forward(self, network: nn.Module, step: int) -> None:
        """Once a step, however many batches it takes."""
        if self.added.merging and step != self._step:
            self.added.merging(network, step)
        self._step = step

    def before_step(self, network: nn.Module) -> Tensor | None:
        penalties = self.added.penalties
        return add_gradients(network, penalties) if penalties else None

    def after_step(self, step: int) -> None:
        """`step` steps are behind; said after each batch, it counts once."""
        if self.average and step != self._done:
            self.average.after_step(step)
        self._done = step

    def end(self, network: nn.Module) -> None:
        if self.average:
            self.average.put_into(network)

    def state(self) -> dict[str, Any]:
        return self.average.state_dict() if self.average else {}

    def go_on(self, state: dict[str, Any]) -> None:
        self._kept = state


def lightning_callback(additions: Additions, part: str = "") -> Any:
    """A callback of Lightning's Trainer for automatic optimisation.

    Penalties are logged as `penalty`. Averages are put into the module when training ends, and go
    into Lightning's checkpoints; statistics of batch normalisation are then to be estimated again
    (`stockpot.reestimate_batch_norm`). A learning rate of Swa or Fge is the module's own
    to set, and snapshots are kept in no files.

    Args:
        additions: what is added to training.
        part: name of the module's attribute that is the network, such as "model"; by default all
            of it. Names of tensors are then the network's own.

    Raises:
        ExtraError: without Lightning.
    """
    loop = _Loop(additions)

    def network(module: Any) -> nn.Module:
        return module.get_submodule(part)

    class StockpotCallback(_lightning().Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            steps = trainer.estimated_stepping_batches
            if additions.averaging and not 0 < steps < float("inf"):
                raise StockpotError("averages need to know the end: give max_epochs or max_steps.")
            loop.begin(network(pl_module), int(steps), max(1, trainer.max_epochs or 1))

        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_batch: Any) -> None:
            loop.before_forward(network(pl_module), trainer.global_step)

        def on_before_optimizer_step(self, _trainer: Any, pl_module: Any, *_: Any) -> None:
            penalty = loop.before_step(network(pl_module))
            if penalty is not None:
                pl_module.log("penalty", penalty)

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            loop.after_step(trainer.global_step)

        def on_train_end(self, _trainer: Any, pl_module: Any) -> None:
            loop.end(network(pl_module))

        def state_dict(self) -> dict[str, Any]:
            return loop.state()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            loop.go_on(state_dict)

    return StockpotCallback()


def transformers_callback(additions: Additions) -> Any:
    """A callback of transformers' Trainer.

    Averages are put into the model when training ends. The gradient of penalties is added after the
    Trainer has clipped the loss's. A learning rate of Swa or Fge is the Trainer's to set, and
    snapshots are kept in no files.

    Args:
        additions: what is added to training.

    Raises:
        ExtraError: without transformers.
        StockpotError: when training begins, with fp16, whose gradients are scaled where the penalty
            is added; and for averages when it goes on from a checkpoint, which has none of them.
    """
    loop = _Loop(additions)

    class StockpotCallback(optional("transformers", "hf").TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, *_: Any, model: Any, **_more: Any) -> None:
            if args.fp16 and additions.penalties:
                raise StockpotError("penalties are added to gradients that fp16 scales: use bf16.")
            if additions.averaging and state.global_step:
                raise StockpotError(
                    "a checkpoint of transformers' Trainer holds no averages: train from the start."
                )
            epochs = max(1, round(state.num_train_epochs))
            loop.begin(model, state.max_steps, epochs)

        def on_step_begin(self, _args: Any, state: Any, *_: Any, model: Any, **_more: Any) -> None:
            loop.before_forward(model, state.global_step)

        def on_pre_optimizer_step(self, *_: Any, model: Any, **_more: Any) -> None:
            loop.before_step(model)

        def on_step_end(self, _args: Any, state: Any, *_: Any, **_more: Any) -> None:
            loop.after_step(state.global_step)

        def on_train_end(self, *_: Any, model: Any, **_more: Any) -> None:
            loop.end(model)

    return StockpotCallback()


def _lightning() -> Any:
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != name.partition(".")[0]:
                raise
    raise ExtraError("'lightning' is needed here and is not installed: pip install lightning")
