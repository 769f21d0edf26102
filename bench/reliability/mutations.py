"""Files of every format that is read, with bytes and meanings changed at random."""

import gzip
import io
import json
import pickle
import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from stockpot.checkpoints.read import read_checkpoint
from stockpot.data.load import load
from stockpot.engine.merge import merge_to
from stockpot.engine.verify import verify
from stockpot.methods import Average
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.reading.yaml import read_yaml

from .bounded import broken_in
from .campaign import Tried

PROMISE = "a damaged or hostile file gives a result or a StockpotError, within 60 s and 800 MiB"
TOKENS = (
    b"", b"\0", b"\xff", b"{", b"[", b'"', b"9" * 20, b"-1", b"null", b"NaN", b"\x1b[2J", b"\n",
    b"[" * 3000, b"1e999", b"\\ud800", b"&a ", b"*a ", b"!!python/name:os.system ", b"../../x",
    struct.pack("<Q", 2**40), struct.pack(">I", 2**31 - 1), struct.pack("<q", -1), b"\x80\x04\x95",
)  # fmt: skip
State = dict[str, torch.Tensor]


def campaign(work: Path, quick: bool) -> Iterator[Tried]:
    """One row for each format."""
    count = 30 if quick else 500
    for kind, (make, read) in KINDS.items():
        whole = work / f"{kind}-whole"
        whole.mkdir()
        named = make(whole)
        files = [file for file in named if file.is_file()]
        content = {
            file.relative_to(whole): file.read_bytes()
            for file in whole.rglob("*")
            if file.is_file()
        }
        tries: list[tuple[str, Callable[[], object]]] = []
        for seed in range(count):
            draw = random.Random(f"{kind} {seed}")
            chosen = draw.choice(files).relative_to(whole)
            tries.append(
                (f"{kind}, seed {seed}", partial(_try, work / "try", content, chosen, draw, read))
            )
        broken = broken_in(tries)
        yield Tried(
            PROMISE,
            f"{kind}: bytes changed, cut, repeated",
            count,
            count - len(broken),
            tuple(broken),
        )


def _try(
    folder: Path,
    content: dict[Path, bytes],
    chosen: Path,
    draw: random.Random,
    read: Callable[[Path], object],
) -> None:
    for file, raw in content.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(mutated(raw, draw) if file == chosen else raw)
    read(folder)


def mutated(raw: bytes, draw: random.Random) -> bytes:
    """Some bytes replaced, a token put in, a part cut, repeated or dropped."""
    changed = bytearray(raw)
    for _ in range(draw.randint(1, 3)):
        at, size = draw.randrange(len(changed) + 1), draw.choice((0, 1, 1, 4, 8))
        near = draw.random() < 0.5
        at = min(at, draw.randrange(400)) if near else at  # where formats say what follows
        match draw.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                changed[at : at + size] = draw.choice(TOKENS)
            case 2:
                del changed[at : at + draw.choice((1, 8, 100))]
            case 3:
                changed[at:at] = changed[at : at + draw.choice((1, 8, 100))]
            case _:
                changed = changed[: max(at, 1)] if draw.random() < 0.2 else changed
    return bytes(changed)


def _state(seed: int) -> State:
    made = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 4, generator=made)
    return {"a.weight": weight, "a.bias": torch.ones(6), "t": weight.T, "n": torch.tensor(3)}


def _safetensors(folder: Path) -> list[Path]:
    state = {name: tensor.contiguous().clone() for name, tensor in _state(0).items()}
    save_file(state, folder / "m.safetensors", {"format": "pt"})
    return [folder / "m.safetensors"]


def _index(folder: Path) -> list[Path]:
    where: dict[str, str] = {}
    for number, (name, tensor) in enumerate(_state(0).items()):
        file = f"model-{number + 1:05}-of-00004.safetensors"
        save_file({name: tensor.contiguous().clone()}, folder / file)
        where[name] = file
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 300}, "weight_map": where}))
    return [index]


def _torch(folder: Path, *, zipped: bool) -> list[Path]:
    content = {"model": _state(0), "epoch": 3}
    torch.save(content, folder / "m.pt", _use_new_zipfile_serialization=zipped)
    return [folder / "m.pt"]


def _distributed(folder: Path) -> list[Path]:
    dcp.save(dict(_state(0)), checkpoint_id=folder, no_dist=True)
    return [folder / ".metadata", *folder.glob("*.distcp")]


def _models(folder: Path) -> list[Path]:
    """Two models with configuration and tokenizer, the first of which is changed."""
    for seed in range(2):
        home = folder / str(seed)
        home.mkdir()
        state = {name: tensor.contiguous().clone() for name, tensor in _state(seed).items()}
        save_file(state, home / "model.safetensors", {"format": "pt"})
        config = {
            "architectures": ["X"],
            "model_type": "x",
            "torch_dtype": "float32",
            "vocab_size": 6,
        }
        (home / "config.json").write_text(json.dumps(config))
        vocabulary = {
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
            "added_tokens": [],
        }
        (home / "tokenizer.json").write_text(json.dumps(vocabulary))
        (home / "tokenizer_config.json").write_text(json.dumps({"eos_token": "b"}))
    return [
        folder / "0" / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
    ]


def _merged(folder: Path) -> list[Path]:
    _models(folder)
    merge_to(folder / "out", [folder / "0", folder / "1"], Average())
    return [folder / "out" / "merge.json"]


def _recipe(folder: Path) -> list[Path]:
    (folder / "recipe.yml").write_text(
        "method: {name: ties, density: 0.2}\nbase: &b base\n"
        "models:\n- a\n- {path: b, weight: 0.5}\n"
        "rules:\n- {match: '*.mlp.*', method: average}\n- {role: embedding, copy: base}\n"
        "layers: {density: [0.1, 0.4]}\noutput: {dtype: bfloat16, shard_size: 5GB}\nseed: 0\n"
    )
    return [folder / "recipe.yml"]


def _cifar(folder: Path) -> list[Path]:
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    files = [folder / name for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
    for file in files:
        file.write_bytes(pickle.dumps(batch, 2))
    meta = folder / "batches.meta"
    meta.write_bytes(pickle.dumps({b"label_names": [b"a", b"b"]}, 2))
    return [*files, meta]


def _idx(folder: Path, *, zipped: bool) -> list[Path]:
    for prefix in ("train", "t10k"):
        images = struct.pack(">4I", 0x803, 3, 4, 4) + bytes(48)
        labels = struct.pack(">2I", 0x801, 3) + bytes((0, 1, 2))
        for stem, raw in (("images-idx3", images), ("labels-idx1", labels)):
            file = folder / f"{prefix}-{stem}-ubyte{'.gz' if zipped else ''}"
            file.write_bytes(gzip.compress(raw) if zipped else raw)
    return sorted(folder.iterdir())


def _npz(folder: Path) -> list[Path]:
    images, labels = np.zeros((3, 4, 4), np.uint8), np.array([[0], [1], [0]], np.uint8)
    parts = {
        f"{p}_{k}": v
        for p in ("train", "val", "test")
        for k, v in (("images", images), ("labels", labels))
    }
    np.savez_compressed(folder / "set.npz", **parts)
    return [folder / "set.npz"]


def _pictures(folder: Path) -> list[Path]:
    from PIL import Image

    for form in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"):
        raw = io.BytesIO()
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(raw, form)
        home = folder / f"class-{form}"
        home.mkdir()
        (home / f"x.{form}").write_bytes(raw.getvalue())
    return sorted(folder.rglob("x.*"))


def _data(name: str, folder: Path, **options: object) -> object:
    return load({"name": name, "path": str(folder), **options})


def _loaded(folder: Path, file: str = "") -> object:
    checkpoint = read_checkpoint(folder / file)
    return [entry.load() for entry in checkpoint.entries.values()]


def _merge(folder: Path) -> object:
    return merge_to(folder / "out", [folder / "0", folder / "1"], Average(), overwrite=True)


KINDS: dict[str, tuple[Callable[[Path], list[Path]], Callable[[Path], object]]] = {
    "safetensors": (_safetensors, partial(_loaded, file="m.safetensors")),
    "index": (_index, _loaded),
    "torch zip": (partial(_torch, zipped=True), partial(_loaded, file="m.pt")),
    "torch legacy": (partial(_torch, zipped=False), partial(_loaded, file="m.pt")),
    "torch.distributed": (_distributed, _loaded),
    "config and tokenizer": (_models, _merge),
    "merge.json": (_merged, lambda folder: verify(folder / "out")),
    "recipe": (_recipe, lambda folder: parse_recipe(read_yaml(folder / "recipe.yml"))),
    "cifar": (_cifar, partial(_data, "cifar-10")),
    "idx": (partial(_idx, zipped=False), partial(_data, "mnist")),
    "idx gz": (partial(_idx, zipped=True), partial(_data, "mnist")),
    "npz": (_npz, lambda folder: load({"name": "medmnist", "path": str(folder / "set.npz")})),
    "pictures": (_pictures, partial(_data, "image-folder", size=8)),
}
