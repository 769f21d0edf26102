"""What a few batches add to the weights: gradients and slopes of the pools of diagnosis.py.

    python examples/results/diagnosis_gradients.py OUT

OUT is diagnosis.py's. OUT/gradients.csv has a line for each pool; OUT/gradients.md says how well
merges are forecast from weights, from weights and these numbers, and from these alone.
"""

import csv
import math
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from diagnosis import data_of, new, specs
from sklearn.ensemble import RandomForestRegressor
from torch import nn
from torch.nn.functional import cross_entropy, softmax

from stockpot.studies.diagnosis.forecast.held_out import (
    HIGH,
    LEAF,
    LOW,
    SHARE,
    TREES,
    cases_of,
    matrix,
    spearman,
)
from stockpot.studies.diagnosis.forecast.table import parse

SAMPLES, STEP = 256, 0.02
NAMES = ("slope", "bend", "gradient", "angle", "at_mean")


def placed(network: nn.Module, vector: torch.Tensor) -> nn.Module:
    """With these parameters; statistics of batches stay."""
    nn.utils.vector_to_parameters(vector, network.parameters())
    return network


def gradient(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of the mean loss, as one vector."""
    network.zero_grad()
    cross_entropy(network(inputs), labels).backward()
    each = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
    return torch.cat([one.flatten() for one in each])


def measured(spec, kept: Path) -> dict[str, float]:
    """Along the way from each ingredient θ_k to the mean θ̄, v_k = θ̄ - θ_k, on training samples.

    slope: the mean of <∇L(θ_k), v_k>. bend: half the mean of v_kᵀ F(θ_k) v_k, F the Fisher matrix,
    from how logits change on the first STEP of the way: the divergence from the ingredient's
    outputs that a quadratic expects of the mean. gradient: log10 of the mean |∇L(θ_k)|. angle: the
    mean cosine of the ingredients' gradients. at_mean: log10 |∇L(θ̄)|.
    """
    train = data_of(spec).train
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:SAMPLES]
    inputs, labels = train.batch(chosen), train.labels[chosen]
    states = torch.load(kept)["models"]
    network, vectors = new(spec, 0), []
    for state in states:
        network.load_state_dict(state)
        vectors.append(nn.utils.parameters_to_vector(network.parameters()).detach().clone())
    mean = torch.stack(vectors).mean(0)
    slopes, bends, gradients = [], [], []
    for state, vector in zip(states, vectors, strict=True):
        network.load_state_dict(state)
        gradients.append(gradient(network, inputs, labels))
        way = mean - vector
        slopes.append(float(gradients[-1] @ way))
        with torch.no_grad():
            before = network(inputs).double()
            after = placed(network, vector + STEP * way)(inputs).double()
            change, share = (after - before) / STEP, softmax(before, 1)
            variance = (share * change**2).sum(1) - (share * change).sum(1) ** 2
            bends.append(float(variance.mean()) / 2)
    network.load_state_dict(states[0])
    at_mean = gradient(placed(network, mean), inputs, labels)
    angles = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in combinations(gradients, 2)]
    return {
        "slope": math.log1p(max(np.mean(slopes), 0)) - math.log1p(max(-np.mean(slopes), 0)),
        "bend": math.log10(max(np.mean(bends), 1e-9)),
        "gradient": math.log10(max(np.mean([float(g.norm()) for g in gradients]), 1e-9)),
        "angle": float(np.mean(angles)),
        "at_mean": math.log10(max(float(at_mean.norm()), 1e-9)),
    }


def main(out: Path) -> None:
    """Pools one after another, then the comparison."""
    torch.set_num_threads(1)
    path = out / "gradients.csv"
    done = {r["pool"]: r for r in csv.DictReader(path.open())} if path.exists() else {}
    for spec in specs():
        kept = out / f"{spec.name}.pt"
        if spec.name in done or not (out / f"{spec.name}.json").exists() or not kept.exists():
            continue
        done[spec.name] = {"pool": spec.name, **measured(spec, kept)}
        with path.open("w", newline="") as file:
            sheet = csv.DictWriter(file, ("pool", *NAMES), lineterminator="\n")
            sheet.writeheader()
            sheet.writerows(done.values())
    compare(out, done)


def compare(out: Path, known: dict[str, dict[str, str]]) -> None:
    """Rank correlations from each set of numbers, each data set left out in turn."""
    every = parse((out / "pools.csv").read_text(), (out / "merges.csv").read_text())
    merges = [one for one in every if one.pool.pool in known]
    weights = matrix(cases_of(merges))
    batches = np.array([[float(known[one.pool.pool][n]) for n in NAMES] for one in merges])
    method = weights[:, len(weights[0]) - 12 :]
    sets = {
        "weights": weights,
        "weights and batches": np.hstack([weights, batches]),
        "batches": np.hstack([method, batches]),
        "weights and bend": np.hstack([weights, batches[:, 1:2]]),
    }
    seen = np.array([one.quality for one in merges])
    same = np.array([one.pool.same_origin for one in merges])
    data = np.array([one.pool.data for one in merges])
    lines = [f"{len(merges)} merges of {len({one.pool.pool for one in merges})} pools", ""]
    lines += ["| | all | same origin |", "|---|---:|---:|"]
    for name, inputs in sets.items():
        said = np.zeros(len(merges))
        for part in sorted(set(data)):
            own = data == part
            trees = RandomForestRegressor(
                TREES, min_samples_leaf=LEAF, max_features=SHARE, random_state=0
            )
            trees.fit(inputs[~own], np.clip(seen[~own], LOW, HIGH))
            said[own] = trees.predict(inputs[own])
        lines.append(
            f"| {name} | {spearman(said, seen):.3f} | {spearman(said[same], seen[same]):.3f} |"
        )
    (out / "gradients.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
