"""The folder of a run: one writer at a time, one experiment, and a list of what is in it."""

import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import system
from ...errors import CheckpointError, FieldError, OutputError, StockpotError
from ...experiments.experiment import Experiment, parse_experiment
from ...values.differences import first_differences
from ...values.from_plain_data import read_result

LISTING = "experiment.json"
WORK, LOCK = "work", ".lock"
_MAY_CHANGE = ("compare",)  # says nothing of how a network is made


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedNetwork:
    """An ingredient as experiment.json has it, which also says how it was trained.

    Attributes:
        path: within the run's folder.
        private: names of tensors that are its own.
    """

    path: str
    private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPool:
    """A pool as experiment.json has it."""

    cell: str
    seed: int
    base: str | None
    ingredients: tuple[ListedNetwork, ...]

    def __post_init__(self) -> None:
        if not self.ingredients:
            raise FieldError("ingredients: there are none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What experiment.json says of a run.

    Attributes:
        experiment: in plain values, as `Experiment.resolved` gave it.
        complete: whether all is trained.
        pools: those that are.
    """

    experiment: Mapping[str, Any]
    complete: bool
    pools: tuple[ListedPool, ...]


def read_finished(run: Path) -> Listing:
    """The list of a run that is trained to its end.

    Raises:
        CheckpointError: it is not, or its list is damaged.
    """
    listing = _read_listing(run)
    if not listing.complete or not listing.pools:
        raise CheckpointError(f"{run} is not trained to its end: run stockpot train first.")
    return listing


def _read_listing(run: Path) -> Listing:
    path = run / LISTING
    try:
        return read_result(Listing, json.loads(path.read_text(encoding="utf8")))
    except (OSError, ValueError, RecursionError, StockpotError):
        raise CheckpointError(f"{path} is no list of an experiment.") from None


@contextmanager
def run_folder(out: Path, experiment: Experiment) -> Generator[None]:
    """Hold the folder for one experiment; what is unfinished stays in it for the next time.

    Raises:
        OutputError: the folder cannot be made, is in use, or holds another experiment.
    """
    held = hold(out)
    try:
        (out / WORK).mkdir(exist_ok=True)
        _begin(out, experiment)
        yield
    finally:
        with suppress(OSError):  # epochs of what is unfinished are in it
            (out / WORK).rmdir()
        os.close(held)


def hold(out: Path) -> int:
    """Make the folder and lock it: itself, so that no file of a lock is left behind.

    Where the system opens no folders, the file `.lock` in it is locked, and stays.

    Returns:
        A descriptor; closing it lets the folder go.

    Raises:
        OutputError: the folder cannot be made, or is in use.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = system.here.open_folder(out)
        held = os.open(out / LOCK, os.O_RDWR | os.O_CREAT) if folder is None else folder
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}.") from None
    try:
        lockable = system.here.lock(held)
    except BlockingIOError:
        os.close(held)
        raise OutputError(f"{out} is in use by another stockpot: wait for it.") from None
    if not lockable:
        os.close(held)
        raise OutputError(f"{out} cannot be locked: this file system has no locks.")
    return held


def list_pools(
    out: Path, experiment: Experiment, pools: Sequence[Mapping[str, Any]], *, complete: bool
) -> None:
    """Write experiment.json: the experiment with its defaults, and every network that there is."""
    content = {"experiment": experiment.resolved(), "complete": complete, "pools": list(pools)}
    partial = out / f"{LISTING}.partial"
    with partial.open("w", encoding="utf8") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(out / LISTING)


def _begin(out: Path, experiment: Experiment) -> None:
    """Refuse another experiment's folder; a list that is there stays until there is a new one."""
    path = out / LISTING
    if path.exists():
        try:
            kept = _read_listing(out).experiment
        except CheckpointError:
            raise OutputError(f"{path} is no list of an experiment: name another --out.") from None
        there, wanted = _essence(_as_read_now(kept)), _essence(experiment.resolved())
        if there == wanted:
            return
        if _made(out):
            raise OutputError(
                f"{out} holds another experiment: {first_differences(there, wanted)}. Use another "
                "--out, or change the file back."
            )
    list_pools(out, experiment, (), complete=False)


def _as_read_now(kept: Mapping[str, Any]) -> Mapping[str, Any]:
    """An experiment of a file, with the defaults of keys that came after it."""
    try:
        return parse_experiment(kept).resolved()
    except FieldError:
        return kept


def _made(out: Path) -> bool:
    """Whether any network or epoch is there, and not only a run that failed before its first."""
    pools = ("pool-*/*.safetensors", "pool-*/stage-*/*.safetensors")
    patterns = (*pools, *(f"*/{one}" for one in pools), f"{WORK}/*.pt")
    return any(found for pattern in patterns for found in out.glob(pattern))


def _essence(resolved: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resolved.items() if key not in _MAY_CHANGE}
