"""Power cuts: a disk that drops or reorders whatever was not forced to it."""

import itertools
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stockpot import system
from stockpot.checkpoints.writing import writer

from .campaign import Tried
from .merging import CASES, Count, inputs, tree
from .simulated import Recorder, Step
from .writing import Trial


def disks(work: Path, quick: bool) -> Iterator[Tried]:
    """A power cut leaves PATH whole, as it was, or absent; verify tells what is neither."""
    models = inputs(work / "models")
    cut, done = Count(), Count()
    for case in CASES:
        trial = Trial(models, work, case)
        recorder = Recorder(trial.fresh())
        with recorder.recording():
            case.merge(models, recorder.folder)
        end = len(recorder.steps)
        draws = 2 if quick else 6
        for at in [*range(0, end, 29 if quick else 1), end]:
            for number, keep in zip(range(draws), _whims(at), strict=False):
                count = done if at == end else cut
                words = f"{case.words}, before step {at} of {end}, whim {number}"
                whole = at == end
                count.add(words, lambda k=keep, w=whole, t=trial, r=recorder, a=at: _after(
                    t, r, a, k, whole=w))  # fmt: skip
    yield Tried(
        "a power cut leaves PATH as it was, whole or absent, and --resume gives the same bytes",
        "before each step, unsynced ones dropped, kept or kept at random", cut.tried, cut.held,
        cut.broken,
    )  # fmt: skip
    yield Tried(
        "what a merge that ended has put at PATH survives a power cut",
        "all that was not synced dropped, kept or kept at random", done.tried, done.held,
        done.broken,
    )  # fmt: skip


def _whims(seed: int) -> Iterator[Callable[[Step], bool]]:
    """What a disk does with steps that nothing forces: none, all, some."""
    yield lambda _: False
    yield lambda _: True
    for draw in itertools.count():
        chance = random.Random(1000 * seed + draw)
        share = chance.random()
        yield lambda _, c=chance, s=share: c.random() < s


def _after(
    trial: Trial, recorder: Recorder, at: int, keep: Callable[[Step], bool], *, whole: bool
) -> str | None:
    folder = next(f for f in trial.folders if not f.exists())
    inodes = recorder.crashed(at, keep).put_down(folder, recorder.inodes)
    if whole and tree(folder) != trial.after:
        return "what was there is gone"
    with _after_a_restart(inodes):
        wrong = trial.judged(folder) or trial.resumed(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return wrong


@contextmanager
def _after_a_restart(inodes: dict[int, int]) -> Iterator[None]:
    """Another boot of the machine, on which folders have the inodes that they had."""
    boot, inode = system.here.boot_id, writer._inode
    system.here.boot_id = lambda: "another"
    writer._inode = lambda path: inodes.get(inode(path), inode(path))
    try:
        yield
    finally:
        system.here.boot_id, writer._inode = boot, inode
