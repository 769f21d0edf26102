"""Running a federated experiment: every partition, algorithm and seed, round by round."""

import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..evaluation.results.intervals import LEVEL
from ..experiments.cells import spec_name
from ..experiments.federated import Federation
from ..training.jobs.folder import hold
from ..values.result import Progress
from .driver import drive
from .result import LAST, Outcome, Trace
from .rounds.server import Server, resume, rounds_in, save
from .setting import Setting

Told = Callable[[int], None]
"""Called with how many rounds of one run are behind."""
Engine = Callable[[Setting, Path, Told], None]
"""Carries out one run, from the last round that its file holds; leaves every finished one there."""


def federate(
    federation: Federation, out: Path, engine: Engine, *, progress: Progress | None = None
) -> Outcome:
    """Run everything that a federated experiment asks for, or go on where an earlier run ended.

    Writes OUT/[alpha-A/]RUN/seed-S.safetensors: the global model after the last finished round
    (with FedBN each client's own tensors too), and in its metadata entry `stockpot.federated` what
    is known of every round. The same experiment gives the same bytes, broken off or not.

    Args:
        federation: what to run.
        out: folder of the run.
        engine: `local` of this module, or `stockpot.federated.flower.simulation`.
        progress: called as rounds are finished.

    Raises:
        OutputError: `out` is in use, holds another experiment, or cannot be written.
        StockpotError: whatever data, networks and training find.
    """
    settings = list(_settings(federation))
    rounds, traces = federation.federated.rounds, list[Trace]()
    held = hold(out)
    try:
        for done, setting in enumerate(settings):
            path = out / _place(setting)
            path.parent.mkdir(parents=True, exist_ok=True)
            engine(setting, path, _teller(setting, done, len(settings), rounds, progress))
            seen = rounds_in(path)[: rounds + 1]
            traces.append(
                Trace(alpha=setting.alpha, run=setting.name, seed=setting.seed, rounds=seen)
            )
    finally:
        os.close(held)
    return _outcome(federation, settings[0], traces)


def local(setting: Setting, path: Path, told: Told) -> None:
    """The engine that runs clients one after the other in this process."""
    server, made = setting.server(), setting.made()
    rounds = setting.federation.federated.rounds
    own = resume(server, path, made, rounds)
    told(server.done)

    def after(server: Server, own: Mapping[int, Mapping[str, Tensor]]) -> None:
        save(server, own, path, made)
        told(server.done)

    if server.done < rounds:
        drive(server, setting.clients(), rounds, own, after)


def _settings(federation: Federation) -> Iterator[Setting]:
    for alpha in federation.alphas:
        for run in range(len(federation.federated.runs)):
            for seed in federation.seeds:
                yield Setting(federation=federation, run=run, alpha=alpha, seed=seed)


def _place(setting: Setting) -> Path:
    partition = "domains" if setting.alpha is None else f"alpha-{setting.alpha:g}"
    name = re.sub(r"[^A-Za-z0-9.=]+", "-", setting.name).strip("-.") or f"run-{setting.run}"
    return Path(partition) / name[:80] / f"seed-{setting.seed}.safetensors"


def _teller(
    setting: Setting, before: int, count: int, rounds: int, progress: Progress | None
) -> Told:
    def told(done: int) -> None:
        if progress:
            where = "" if setting.alpha is None else f", alpha {setting.alpha:g}"
            what = f"{setting.name}{where}, seed {setting.seed}: round {done} of {rounds}"
            progress(what, min(1.0, (before + done / rounds) / count))

    return told


def _outcome(federation: Federation, first: Setting, traces: list[Trace]) -> Outcome:
    wanted = federation.federated
    network, data = spec_name(federation.network), spec_name(federation.data)
    sizes = [len(one.holding.train) for one in first.clients()]
    facts = (
        ("network", network),
        ("data", data),
        ("clients", f"{wanted.clients}, {wanted.drawn} of them in each round"),
        ("training samples of a client", f"{min(sizes)} to {max(sizes)} in the first partition"),
        ("rounds", str(wanted.rounds)),
        ("seeds", ", ".join(map(str, federation.seeds))),
        ("accuracy that is compared", f"mean of the last {min(LAST, wanted.rounds)} rounds"),
        (
            "intervals",
            f"{100 * LEVEL:g}%, Student's t over seeds on the logit; they cover seeds, with the "
            "test samples as they are",
        ),
        ("torch", str(torch.__version__)),
        ("machine", platform.machine()),
    )
    title = f"Federated: {network} on {data}, {wanted.clients} clients"
    return Outcome(title=title, traces=tuple(traces), facts=facts, experiment=federation.resolved())
