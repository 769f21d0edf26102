"""Does aligning scopes lower the barrier between two networks that differ in one thing?

    python examples/results/scope_barriers.py OUT [CELL ...]

Each pool has seven networks, equally long trained: a reference, and six that differ from it in one
thing. Barriers are between the reference and each other, under one treatment after the other, on
the same seeds. What is done is kept in OUT, and the same command goes on from there.
OUT/barriers.csv has every number, OUT/tables.md what docs/results.md shows.
"""

import csv
import json
import math
import sys
from pathlib import Path

import torch

from stockpot.evaluation.results.estimator import POSITIVE, over_seeds
from stockpot.experiments.experiment import parse_experiment
from stockpot.studies import Connectivity
from stockpot.training import scope_of, train_experiment

THINGS = ("seed", "learning rate", "weight decay", "batch size", "optimiser", "data skew")
"""What network 1, 2, ... of a pool differs in from network 0; all have seeds of their own."""

VARY = {
    "lr": [0.003, 0.003, 0.01, 0.003, 0.003, 0.1, 0.003],  # SGD needs a rate of its own
    "weight_decay": [0.01, 0.01, 0.01, 1.0, 0.01, 0.01, 0.01],
    "batch_size": [64, 64, 64, 64, 16, 64, 64],
    "optimiser": ["adamw", "adamw", "adamw", "adamw", "adamw", "sgd", "adamw"],
    "part": [None] * 6 + [{"classes": [0, 1, 2, 3, 4], "keep": 0.2}],
}
DIGITS = {"data": "digits", "split": {"selection": 0.2, "test": 0.4}}
FASHION = {"data": "fashion-mnist", "split": {"selection": 0.1, "limit": 1000}}
BATCH, GROUP = ({"name": "resnet-8", "width": 8, "norm": one} for one in ("batch", "group"))
CELLS = {
    f"{name}-{share}": {"network": network, "ingredients": {"share": share}, **data}
    for share in ("none", "init")
    for name, network, data in (
        ("digits-mlp", "mlp", DIGITS),
        ("digits-resnet-batch", BATCH, DIGITS),
        ("digits-resnet-group", GROUP, DIGITS),
        ("fashion-mlp", "mlp", FASHION),
        ("fashion-resnet-batch", BATCH | {"width": 4}, FASHION),
        ("fashion-resnet-group", GROUP | {"width": 4}, FASHION),
        ("digits-cnn", "cnn", DIGITS),
    )
}
SCOPES = {
    "vanilla": None,
    "init": {"target": "init", "weight": 1.0},
    "constant": {"target": {"kind": "constant", "std": 0.1}, "weight": 1.0},
    "fused": {"target": "fused", "weight": 1.0},
}
RESCALED = {"rescaled-weights": "weights", "rescaled-function": "function"}
DECAYS = (0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Among which the control's is the one whose scopes are nearest to those of the treatment init."""

COLUMNS = ("cell", "treatment", "thing", "statistics", "split", "pools", "barrier", "low", "high")
MORE = (
    *("accuracy", "change", "change_low", "change_high", "accuracy_change", "drop", "decay"),
    "mismatch",
)


def trained(cell, folder, scope=None, decay=None, pools=5, count=7):
    """The pools of a cell under one treatment."""
    made = {"count": count, "stages": 2, "epochs": 3, "lr": 0.003, "vary": dict(VARY)}
    made |= CELLS[cell]["ingredients"] | ({"scope": scope} if scope else {})
    if decay is not None:
        made["weight_decay"] = decay
        # SGD's is an L2 penalty, times its rate and 1 / (1 - 0.9): so as much a step as AdamW's.
        each = [decay] * 5 + [decay * 0.003 / 0.1 * (1 - 0.9), decay]
        made["vary"] |= {"weight_decay": each[:count]}
    experiment = {**CELLS[cell], "ingredients": made, "compare": {"seeds": pools, "counts": [2]}}
    return train_experiment(parse_experiment(experiment), folder)


def spread(pools):
    """Mean logarithm of the standard deviations of the reference network's layers."""
    found = [math.log(one.std) for pool in pools for one in scope_of(pool.kept[0].network).values()]
    return math.fsum(found) / len(found)


def matched_decay(cell, out):
    """The weight decay, the same for all, whose scopes are nearest to the treatment's."""
    aim = spread(trained(cell, out / "init", SCOPES["init"])[:1])
    apart = {}
    for decay in DECAYS:
        pools = trained(cell, out / f"decay-{decay:g}", decay=decay, pools=1, count=2)
        apart[decay] = abs(spread(pools) - aim)
    return min(apart, key=apart.get)


def measure(cell, out):
    """Paths of every treatment, one file each."""
    plain = Connectivity(pairs="first", plane=0, curves=(), samples=400)
    for name in (*SCOPES, "decay", *RESCALED):
        if name == "rescaled-function" and "batch" not in cell:
            continue
        kept = out / f"{name}.json"
        if kept.exists():
            continue
        decay = None
        if name == "decay":
            decay = matched_decay(cell, out)
            pools, look = trained(cell, out / name, decay=decay), plain
        elif name in RESCALED:
            pools = trained(cell, out / "vanilla", SCOPES["vanilla"])
            look = Connectivity(
                pairs="first", plane=0, curves=(), samples=400, rescale=RESCALED[name]
            )
        else:
            pools, look = trained(cell, out / name, SCOPES[name]), plain
        found = look(pools)
        paths = [
            {
                "pool": one.pool,
                "thing": THINGS[int(one.other.rpartition("-")[2]) - 1],
                "statistics": one.statistics,
                "split": one.split,
                "barrier": one.barrier,
                "drop": one.drop,
                "accuracy": (one.accuracy[0] + one.accuracy[-1]) / 2,
            }
            for one in found.paths
        ]
        kept.write_text(json.dumps({"decay": decay, "paths": paths}))


def rows_of(cell, out):
    """Means over pools, with intervals, and changes against vanilla pool by pool."""
    told = {one.stem: json.loads(one.read_text()) for one in out.glob("*.json")}
    for name in (one for one in (*SCOPES, "decay", *RESCALED) if one in told):
        for thing in ("all", *THINGS):
            apart = mismatch(out / name, thing)
            for key in [
                (s, w) for s in ("interpolated", "re-estimated") for w in ("train", "test")
            ]:
                mine = by_pool(told.get(name), thing, key)
                first = by_pool(told.get("vanilla"), thing, key)
                if not mine or not first:
                    continue
                barrier = over_seeds([one["barrier"] for one in mine.values()], POSITIVE)
                changes = [mine[p]["barrier"] - first[p]["barrier"] for p in mine]
                change = over_seeds(changes)
                accuracy, before = (
                    math.fsum(one["accuracy"] for one in of.values()) / len(of)
                    for of in (mine, first)
                )
                drop = math.fsum(one["drop"] for one in mine.values()) / len(mine)
                yield dict(
                    zip(
                        (*COLUMNS, *MORE),
                        (
                            *(cell, name, thing, *key, len(mine)),
                            *(barrier.value, barrier.low, barrier.high, accuracy),
                            *(change.value, change.low, change.high),
                            *(accuracy - before, drop, told[name]["decay"], apart),
                        ),
                        strict=True,
                    )
                )


def mismatch(folder, thing):
    """Mean over layers, pairs and pools of |ln(σ / σ')|, σ and σ' the standard deviations."""
    found = []
    for pool in sorted(folder.glob("pool-*")):
        files = sorted(pool.glob("ingredient-*.safetensors"))
        first, *others = [scope_of(one) for one in files]
        for number, other in enumerate(others):
            if thing in ("all", THINGS[number]):
                found += [abs(math.log(first[n].std / other[n].std)) for n in first]
    return math.fsum(found) / len(found) if found else ""


def by_pool(told, thing, key):
    """Mean over the pairs of a pool."""
    found = {}
    for one in (told or {"paths": []})["paths"]:
        if (one["statistics"], one["split"]) == key and thing in ("all", one["thing"]):
            found.setdefault(one["pool"], []).append(one)
    return {
        pool: {
            w: math.fsum(p[w] for p in many) / len(many) for w in ("barrier", "drop", "accuracy")
        }
        for pool, many in found.items()
    }


def table(rows, cell):
    """The test barriers of a cell, statistics estimated again where there are any."""
    how = "re-estimated" if "batch" in cell else "interpolated"
    mine = [r for r in rows if (r["cell"], r["statistics"], r["split"]) == (cell, how, "test")]
    lines = [
        f"\n{cell}, statistics {how}\n",
        f"| | all | change | {' | '.join(THINGS)} | accuracy | mismatch |",
    ]
    lines.append("|---|---:|---:|" + "---:|" * (len(THINGS) + 2))
    for name in dict.fromkeys(one["treatment"] for one in mine):
        same = {one["thing"]: one for one in mine if one["treatment"] == name}
        whole = same["all"]
        span = f"[{whole['change_low']:.2f}, {whole['change_high']:.2f}]"
        change = "" if name == "vanilla" else f"{whole['change']:+.2f} {span}"
        each = " | ".join(f"{same[thing]['barrier']:.2f}" for thing in THINGS)
        apart = "" if whole["mismatch"] == "" else f"{whole['mismatch']:.2f}"
        words = f"{name} {whole['decay']}" if name == "decay" else name
        lines.append(
            f"| {words} | {whole['barrier']:.2f} [{whole['low']:.2f}, {whole['high']:.2f}] | "
            f"{change} | {each} | {100 * whole['accuracy']:.1f} | {apart} |"
        )
    return "\n".join(lines)


def main():
    """Cells one after another, tables after each."""
    torch.set_num_threads(1)
    out, wanted = Path(sys.argv[1]), sys.argv[2:] or list(CELLS)
    for cell in wanted:
        measure(cell, out / cell)
        rows = [row for one in CELLS for row in rows_of(one, out / one)]
        with (out / "barriers.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, (*COLUMNS, *MORE), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        there = dict.fromkeys(one["cell"] for one in rows)
        (out / "tables.md").write_text("\n".join(table(rows, one) for one in there) + "\n")
        print(cell, flush=True)


if __name__ == "__main__":
    main()
