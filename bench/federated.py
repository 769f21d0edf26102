"""Aggregating K clients' updates of a 25-million-parameter network, beside Flower's own FedAvg.

Both are Flower strategies: they begin with the replies as they lie in the memory of the server
after the wire (Flower's records) and end with the next global model as an ArrayRecord. The time is
the process's own on one thread; the peak is what the process grew by beyond the replies, in models.
Runs alternate, each in a process of its own. Needs Flower's environment.

    python -m bench.federated [--clients 10] [--runs 3]
"""

import argparse
import ctypes
import gc
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

SHAPES = {
    **{f"layer{i}.conv.weight": (512, 512, 3, 3) for i in range(10)},
    **{f"layer{i}.norm.weight": (512,) for i in range(10)},
    "embed.weight": (512, 1000),
    "fc.weight": (1000, 1000),
    "fc.bias": (1000,),
}


def messages(clients: int) -> list[Any]:
    """A reply of each client, as strategies read it."""
    from stockpot.federated.flower.baselines import Answer
    from stockpot.federated.flower.records import reply_record
    from stockpot.federated.rounds.messages import Reply

    drawn = torch.Generator().manual_seed(0)
    found: list[Any] = []
    for client in range(clients):
        state = {name: torch.randn(shape, generator=drawn) for name, shape in SHAPES.items()}
        found.append(Answer(reply_record(Reply(client, 1, state, 100 + client)), client))
    return found


def flowers() -> Any:
    """Flower's FedAvg."""
    from flwr.serverapp.strategy import FedAvg

    return FedAvg(fraction_train=0.0)  # draws nobody; what is measured is aggregation


def ours() -> Any:
    """The same of stockpot; replies are checked for NaN, names and shapes."""
    from stockpot.federated.flower.strategy import MethodStrategy
    from stockpot.methods import Average

    return MethodStrategy(Average(), fraction_train=0.0)


CONTENDERS: dict[str, Callable[[], Any]] = {"flower": flowers, "stockpot": ours}


def peak() -> int:
    """Bytes that the process has held at most."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def measure(name: str, clients: int) -> dict[str, float]:
    """Seconds and models of memory of one aggregation, in this process."""
    from flwr.app import ConfigRecord

    torch.set_num_threads(1)
    strategy, (warm,) = CONTENDERS[name](), messages(1)
    arrays = warm.content["arrays"]  # the global model, which the clients began with
    strategy.configure_train(1, arrays, ConfigRecord(), None)
    strategy.aggregate_train(1, [warm])  # libraries are loaded, and the allocator has seen a model
    del warm
    replies = messages(clients)
    gc.collect()
    size = 4 * sum(torch.Size(shape).numel() for shape in SHAPES.values())
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is held now
    before, begun = peak(), time.process_time()
    result, _ = strategy.aggregate_train(1, replies)
    seconds, grown = time.process_time() - begun, peak() - before
    checked = float(result["fc.bias"].numpy().astype("float64").sum())
    return {"seconds": seconds, "models": grown / size, "parameters": size / 4, "check": checked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.clients)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    command = [sys.executable, "-m", "bench.federated", "--clients", str(args.clients), "--one"]
    for _ in range(args.runs):
        for name in CONTENDERS:
            done = subprocess.run([*command, name], capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    checks = {round(run["check"], 3) for runs in found.values() for run in runs}
    assert len(checks) == 1, f"the contenders disagree: {checks}"
    count = found["stockpot"][0]["parameters"]
    print(f"{args.clients} replies of {count:,.0f} parameters, float32; one thread")
    for name, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        models = max(run["models"] for run in runs)
        span = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"{name}: {median(seconds):.2f} s ({span}), {models:.2f} models beyond the replies")


if __name__ == "__main__":
    main()
