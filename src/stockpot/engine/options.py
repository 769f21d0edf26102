"""How a merge runs, as opposed to what is merged: memory, workers, device, what happens to PATH."""

from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import FieldError, MergeError
from ..recipes.reading.sizes import parse_size
from ..running.executor import THREADS, Executor, workers_for
from ..values.result import Progress

_LEAST = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every merge to files takes besides its recipe.

    Attributes:
        memory: budget for buffers, above the interpreter and its libraries: "2GiB", or bytes.
        workers: threads; by default one per core, at most eight.
        device: where blocks are computed; auto takes a GPU where there is one.
        digest: "blake3" per tensor, "sha256" of whole files beside it, or "none".
        resume: continue an unfinished output.
        overwrite: replace an earlier output of stockpot at the output's path, and that alone.
        allow_non_finite: let NaN and infinity through.
        key: which nested dictionary of a torch file is the state dict, where the recipe gives the
            file no key of its own.
        progress: called with bytes moved of bytes in all, in words, and their fraction, in the
            thread that asked for the merge.
        executor: where tasks run.
    """

    memory: int | str = "2GiB"
    workers: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    digest: Literal["blake3", "sha256", "none"] = "blake3"
    resume: bool = False
    overwrite: bool = False
    allow_non_finite: bool = False
    key: str | None = None
    progress: Progress | None = None
    executor: Executor = THREADS

    def __post_init__(self) -> None:
        if self.memory_bytes < _LEAST:
            raise FieldError(f"memory must be at least 1MiB; got {self.memory}.")
        if self.workers is not None and self.workers < 1:
            raise FieldError(f"workers must be at least 1; got {self.workers}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise FieldError(f"device must be auto, cpu or cuda; got {str(self.device)[:40]}.")
        if self.digest not in ("blake3", "sha256", "none"):
            raise FieldError(f"digest must be blake3, sha256 or none; got {str(self.digest)[:40]}.")

    @property
    def memory_bytes(self) -> int:
        """The budget in bytes."""
        return parse_size(self.memory)

    @property
    def worker_count(self) -> int:
        """Threads that will run."""
        return workers_for(self.workers)

    @property
    def torch_device(self) -> torch.device:
        """The device that `device` means here."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise MergeError("--device cuda: torch sees no GPU here. Use --device cpu.")
        gpu = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return torch.device("cuda" if gpu else "cpu")
