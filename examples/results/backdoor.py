"""Does a backdoor in one contributor survive a merge, and do weights give it away?

    python examples/results/backdoor.py OUT [--seeds 10] [--only digits/mlp ...]

For every seed one network is trained, and from it six honest contributors, four with a backdoor
and some that are honest but odd (backdoor_attack.py). Pools of three to six have one contributor of
interest and honest others, or honest ones alone. OUT/attacks.csv has how often the trigger works
after each merge, OUT/scores.csv every score of `stockpot study backdoor`, OUT/tables.md what
docs/results.md shows. What is done is kept in OUT, and the same command goes on from there.
"""

import argparse
import copy
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from backdoor_attack import ATTACKS, HONEST, MIXED, ODD, SETTINGS, SHORT, Kitchen, cook, stamp
from backdoor_tables import ALL, COUNTS, MIDDLE, SHOWN, tables

from stockpot import merge
from stockpot.core import Method
from stockpot.data import fewer
from stockpot.methods import (
    Average,
    Cart,
    Consensus,
    Dare,
    IsoC,
    Median,
    ModelStock,
    TaskArithmetic,
    Ties,
    TrimmedMean,
    TsvM,
)
from stockpot.studies import statistics_of
from stockpot.studies.backdoor.computing import backdoor_of
from stockpot.studies.onepass.statistics import Statistics

METHODS: dict[str, Method] = {
    "average": Average(),
    "median": Median(),
    "trimmed-mean 0.25": TrimmedMean(trim=0.25),
    "task-arithmetic 0.3": TaskArithmetic(scale=0.3),
    "ties": Ties(),
    "dare 0.3": Dare(scale=0.3),
    "model-stock": ModelStock(),
    "consensus 0.3": Consensus(scale=0.3),
    "cart": Cart(),
    "tsv-m": TsvM(),
    "iso-c": IsoC(),
}
FEWER = 5
"""Seeds whose pools methods other than the average merge."""
TESTED = 500
"""Test images that merges are judged on."""


def judged(kitchen: Kitchen, target: int, names: Sequence[str], method: Method, triggers):
    """Accuracy of a merge, and the share of other classes that a trigger turns into the target."""
    states, origin = [kitchen.models[name] for name in names], kitchen.start.state_dict()
    base = origin if method.needs.base else None
    network = copy.deepcopy(kitchen.start)
    network.load_state_dict(merge(states, method, base=base, workers=1))
    network.eval()
    test = fewer(kitchen.splits.test, TESTED) if len(kitchen.splits.test) > TESTED else (
        kitchen.splits.test
    )  # fmt: skip
    images, labels = test.batch(slice(None)), test.labels
    others = images[labels != target]
    with torch.no_grad():
        found = {"accuracy": float((network(images).argmax(1) == labels).float().mean())}
        for kind in triggers:
            marked = network(stamp(others, kitchen.triggers[kind])).argmax(1)
            found[kind] = float((marked == target).float().mean())
    return found


def attacks_of(
    kitchen: Kitchen, target: int, methods: Sequence[str]
) -> Iterator[dict[str, object]]:
    """One row for a pool, a method and a trigger."""
    honest = [f"honest-{k}" for k in range(HONEST)]
    plans = [(name, (name,), "single") for name in ALL]
    plans += [(name, (name, *honest[: n - 1]), "average") for n in COUNTS for name in ALL]
    plans += [("clean", tuple(honest[:n]), "average") for n in COUNTS]
    for method in methods:
        plans += [(name, (name, *honest[: MIDDLE - 1]), method) for name in SHOWN]
        plans.append(("clean", tuple(honest[:MIDDLE]), method))
    for pool, names, method in plans:
        attack = SHORT.get(pool, pool)
        kinds = ("fixed", "made") if pool == "clean" else (ATTACKS[attack][0],)
        found = judged(kitchen, target, names, METHODS.get(method, Average()), kinds)
        for kind in kinds:
            yield {
                "pool": pool, "n": len(names), "method": method, "trigger": kind,
                "success": found[kind], "accuracy": found["accuracy"],
            }  # fmt: skip


def chosen(found: Statistics, names: Sequence[str]) -> Statistics:
    """The same statistics of some of the models."""
    at = [found.names.index(name) for name in names]

    def part(matrix):
        return tuple(tuple(matrix[i][j] for j in at) for i in at)

    tensors = tuple(
        replace(
            one,
            models=tuple(one.models[i] for i in at),
            gram=part(one.gram),
            deltas=part(one.deltas),
        )
        for one in found.tensors
    )
    return replace(found, names=tuple(names), tensors=tensors)


def scores_of(kitchen: Kitchen) -> Iterator[dict[str, object]]:
    """One row for each model of each pool; the first model is the one of interest."""
    found = statistics_of(
        list(kitchen.models.values()),
        kitchen.start.state_dict(),
        names=list(kitchen.models),
        workers=1,
    )
    for n in COUNTS:
        for among, kind in (("honest", "clean"), (MIXED, "clean, mixed")):
            rest = [f"{among}-{k}" for k in range(HONEST)]
            pools = [(kind, rest[:n])]
            odd = ODD if among == "honest" else ()
            suffix = "" if among == "honest" else ", among mixed"
            pools += [(one + suffix, [one, *rest[: n - 1]]) for one in (*ALL, *odd)]
            for pool, names in pools:
                for place, one in enumerate(backdoor_of(chosen(found, names)).suspicions):
                    yield {
                        "pool": pool, "n": n, "model": names[place], "first": place == 0,
                        "score": one.score, "alarm": one.alarm, "length": one.length,
                        "distance": one.distance, "direction": one.direction, "layer": one.layer,
                    }  # fmt: skip


def main() -> None:
    """Seed after seed, then the tables."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS))
    given = parser.parse_args()
    attacks, scores, others = [], [], list(METHODS)[1:]
    for name in given.only:
        for seed in range(given.seeds):
            out = given.out / name.replace("/", "-") / f"seed-{seed}"
            kept = out / "found.json"
            if not kept.exists():
                kitchen = cook(SETTINGS[name], seed, out)
                found = {
                    "attacks": list(
                        attacks_of(kitchen, SETTINGS[name].target, others if seed < FEWER else ())
                    ),
                    "scores": list(scores_of(kitchen)),
                }
                kept.write_text(json.dumps(found))
                print(name, seed, flush=True)
            found, where = json.loads(kept.read_text()), {"setting": name, "seed": seed}
            attacks += [where | row for row in found["attacks"]]
            scores += [where | row for row in found["scores"]]
    for file, rows in (("attacks.csv", attacks), ("scores.csv", scores)):
        with (given.out / file).open("w", newline="") as text:
            writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    (given.out / "tables.md").write_text("\n".join(tables(attacks, scores)) + "\n")


if __name__ == "__main__":
    main()
