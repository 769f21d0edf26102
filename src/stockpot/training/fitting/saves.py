"""A fit after a finished epoch, on disk: all of it or what was there before."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import CheckpointError, OutputError
from ...experiments.additions import as_written_now
from ...values.differences import first_differences


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the rest of a fit depends on.

    Attributes:
        done: epochs that are behind.
        network, optimiser, schedule: their state dicts.
        order: state of the generator that shuffles the data.
        random: state of torch's CPU generator: dropout and augmentation.
        random_gpu: of the GPU's, or None.
        step: steps that are behind.
        average: of a `WeightAverage`, or None.
    """

    done: int
    network: dict[str, Any]
    optimiser: dict[str, Any]
    schedule: dict[str, Any]
    order: Tensor
    random: Tensor
    random_gpu: Tensor | None
    step: int = 0
    average: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Save:
    """Where the last finished epoch of one fit is kept.

    Attributes:
        path: the file.
        made: what the fit is made of, in plain values; an epoch of another fit is refused.
    """

    path: Path
    made: Mapping[str, Any]

    def write(self, state: State) -> None:
        """Replace what is kept; it is on disk before the older one goes."""
        partial = self.path.with_name(self.path.name + ".partial")
        content = {f.name: getattr(state, f.name) for f in fields(state)}
        with partial.open("wb") as file:
            torch.save({"made": json.dumps(self.made), **content}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def read(self) -> State | None:
        """What is kept; None where nothing is.

        Raises:
            OutputError: it is an epoch of another fit; the differences are named.
            CheckpointError: it cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            kept = cast(
                dict[str, Any], torch.load(self.path, map_location="cpu", weights_only=True)
            )
            made = as_written_now(json.loads(kept.pop("made")))
            state = State(**kept)
        except Exception as error:  # torch's readers raise whatever a damaged file leads them to
            raise CheckpointError(
                f"{self.path} cannot be read as a saved epoch ({type(error).__name__}): delete it, "
                "and this network is trained from its start again."
            ) from None
        if made != self.made:
            raise OutputError(
                f"{self.path} is an epoch of another fit: {first_differences(made, self.made)}. "
                "Use another --out, or delete it."
            )
        return state

    def remove(self) -> None:
        """Forget what is kept."""
        self.path.unlink(missing_ok=True)
