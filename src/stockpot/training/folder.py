"""The folder of a run: one writer at a time, one experiment, and a list of what is in it."""

import fcntl
import json
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ..errors import OutputError
from ..recipes.experiment import Experiment
from .differences import first_differences

LISTING = "experiment.json"
WORK = "work"
_MAY_CHANGE = ("compare",)  # says nothing of how a network is made


@contextmanager
def run_folder(out: Path, experiment: Experiment) -> Generator[None]:
    """Hold the folder for one experiment; what is unfinished stays in it for the next time.

    Raises:
        OutputError: the folder cannot be made, is in use, or holds another experiment.
    """
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        lock = (out / WORK / "lock").open("w")
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{out} is in use by another stockpot: wait for it.") from None
        _refuse_another(out, experiment)
        list_pools(out, experiment, (), complete=False)
        yield


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
    if complete:
        shutil.rmtree(out / WORK)


def _refuse_another(out: Path, experiment: Experiment) -> None:
    path = out / LISTING
    if not path.exists():
        return
    try:
        there = cast(dict[str, Any], json.loads(path.read_text(encoding="utf8")))["experiment"]
    except (ValueError, KeyError, TypeError):
        raise OutputError(f"{path} is no list of an experiment: name another --out.") from None
    there, wanted = _essence(there), _essence(experiment.resolved())
    if there != wanted:
        raise OutputError(
            f"{out} holds another experiment: {first_differences(there, wanted)}. Use another "
            "--out, or change the file back."
        )


def _essence(resolved: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resolved.items() if key not in _MAY_CHANGE}
