"""Families of models to measure with: a base and three fine-tunes, written straight to disk.

The fine-tunes share half of the variance of their task vectors, as fine-tunes of related tasks do.
Every number follows from the seed, the model and the name of the tensor, so a family can be written
again, anywhere, to the same bytes.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

FINE_TUNES = ("ft0", "ft1", "ft2")
MODELS = ("base", *FINE_TUNES)
WEIGHT_STD = 0.02
DELTA_STD = 0.002
CHUNK = 1 << 22  # elements drawn at a time
ITEM_BYTES = {"BF16": 2, "F32": 4}
SHARD_BYTES = 400_000_000
STAMP = "family.json"


@dataclass(frozen=True, slots=True)
class Family:
    """A description from which four checkpoints are written; `config` is the hub's config.json."""

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str
    config: Mapping[str, object] | None = None
    seed: int = 0
    rounded: bool = False  # to bfloat16, whatever the dtype: equal magnitudes are common then

    @property
    def numel(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def stamp(self) -> str:
        """What a directory says when it holds this family, complete."""
        said = (self.dtype, self.config, self.seed, self.rounded, list(self.shapes.items()))
        return json.dumps({"sha256": sha256(json.dumps(said).encode()).hexdigest()})


def llama(
    name: str,
    *,
    hidden: int,
    intermediate: int,
    layers: int,
    vocabulary: int,
    dtype: str,
    rounded: bool = False,
) -> Family:
    """The tensors and the config.json of a Llama with untied embeddings."""
    square, wide, tall = (hidden, hidden), (intermediate, hidden), (hidden, intermediate)
    block = {
        "self_attn.q_proj": square,
        "self_attn.k_proj": square,
        "self_attn.v_proj": square,
        "self_attn.o_proj": square,
        "mlp.gate_proj": wide,
        "mlp.up_proj": wide,
        "mlp.down_proj": tall,
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in block.items()}
    shapes |= {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "head_dim": 64,
        "vocab_size": vocabulary,
        "max_position_embeddings": 2048,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": {"BF16": "bfloat16", "F32": "float32"}[dtype],
    }
    return Family(name, shapes, dtype, config, rounded=rounded)


def many_small(count: int) -> Family:
    """Tensors of 1,024 elements in one file per model: nothing but overhead per tensor."""
    shapes = {f"blocks.{i // 10}.part{i % 10}.weight": (32, 32) for i in range(count)}
    return Family(f"small-{count}", shapes, "F32")


SMALL = {"hidden": 256, "intermediate": 512, "vocabulary": 2000}
FAMILIES = {
    family.name: family
    for family in (
        llama("full", hidden=1536, intermediate=4096, layers=16, vocabulary=32000, dtype="BF16"),
        llama("tiny", **SMALL, layers=2, dtype="BF16"),
        llama("float32", **SMALL, layers=4, dtype="F32"),
        llama("float32-coarse", **SMALL, layers=4, dtype="F32", rounded=True),
        *(many_small(count) for count in (300, 1_000, 3_000, 30_000)),
    )
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One model of a written family."""

    directory: Path

    @property
    def shards(self) -> list[Path]:
        return sorted(self.directory.glob("*.safetensors"))

    @property
    def single_file(self) -> Path:
        (shard,) = self.shards
        return shard


def present(family: Family, root: Path) -> bool:
    """Whether root holds this family, complete and of this description."""
    stamp = root / family.name / STAMP
    return stamp.is_file() and stamp.read_text() == family.stamp


def checkpoints(family_name: str, root: Path) -> dict[str, Checkpoint]:
    return {model: Checkpoint(root / family_name / model) for model in MODELS}


def write(family: Family, root: Path) -> None:
    """Write the four models side by side, so that the shared draws are made once."""
    target = root / family.name
    shutil.rmtree(target, ignore_errors=True)
    with ExitStack() as stack:
        sinks = {
            model: stack.enter_context(ShardWriter(target / model, family)) for model in MODELS
        }
        for name, shape in family.shapes.items():
            for values in draw(family.seed, name, shape):
                for model, values_N in values.items():
                    exact_N = round_to_bfloat16(values_N) if family.rounded else values_N
                    sinks[model].append(name, encode(exact_N, family.dtype))
    (target / STAMP).write_text(family.stamp)


def draw(seed: int, name: str, shape: tuple[int, ...]) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The values of one tensor in each model, float32, a chunk at a time."""
    key = int.from_bytes(sha256(name.encode()).digest()[:8])
    streams = {
        source: np.random.Generator(np.random.SFC64([seed, key, i]))
        for i, source in enumerate((*MODELS, "shared"))
    }
    total = int(np.prod(shape))
    centre = 1.0 if "norm" in name else 0.0
    for start in range(0, total, CHUNK):
        count = min(CHUNK, total - start)
        drawn = {
            source: stream.standard_normal(count, dtype=np.float32)
            for source, stream in streams.items()
        }
        base_N = drawn["base"] * np.float32(WEIGHT_STD) + np.float32(centre)
        half = np.float32(DELTA_STD / np.sqrt(2))
        yield {"base": base_N} | {
            model: base_N + half * (drawn["shared"] + drawn[model]) for model in FINE_TUNES
        }


def encode(values_N: NDArray[np.float32], dtype: str) -> bytes:
    """Little-endian bytes; bfloat16 by rounding."""
    if dtype == "F32":
        return values_N.astype("<f4").tobytes()
    bits_N = round_to_bfloat16(values_N).view(np.uint32)
    return (bits_N >> np.uint32(16)).astype("<u2").tobytes()


def round_to_bfloat16(values_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """To the nearest that bfloat16 holds, ties to even; still float32."""
    bits_N = values_N.view(np.uint32)
    rounded_N = bits_N + np.uint32(0x7FFF) + ((bits_N >> np.uint32(16)) & np.uint32(1))
    return (rounded_N & np.uint32(0xFFFF0000)).view(np.float32)


def split_into_shards(family: Family, shard_bytes: int = SHARD_BYTES) -> list[list[str]]:
    """Names of tensors per file, in order, none of the files above shard_bytes if it can be."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, shape in family.shapes.items():
        size = int(np.prod(shape)) * ITEM_BYTES[family.dtype]
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


class ShardWriter:
    """Sharded safetensors of one model, appended to in the order of the tensors."""

    def __init__(self, directory: Path, family: Family) -> None:
        self.directory = directory
        self.family = family
        self.file: BinaryIO | None = None
        shards = split_into_shards(family)
        names = (
            ["model.safetensors"]
            if len(shards) == 1
            else [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
        )
        self.shard_starting_with = {
            shard[0]: (name, shard) for name, shard in zip(names, shards, strict=True)
        }
        self.weight_map = {
            tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard
        }
        self.current = ""

    def __enter__(self) -> "ShardWriter":
        self.directory.mkdir(parents=True)
        if self.family.config is not None:
            text = json.dumps(dict(self.family.config), indent=2)
            (self.directory / "config.json").write_text(text + "\n")
        if len(self.shard_starting_with) > 1:
            size = self.family.numel * ITEM_BYTES[self.family.dtype]
            index = {"metadata": {"total_size": size}, "weight_map": self.weight_map}
            text = json.dumps(index, indent=2)
            (self.directory / "model.safetensors.index.json").write_text(text + "\n")
        return self

    def append(self, tensor: str, data: bytes) -> None:
        if tensor != self.current and tensor in self.shard_starting_with:
            self.close()
            name, members = self.shard_starting_with[tensor]
            self.file = (self.directory / name).open("wb")
            self.file.write(header(self.family, members))
        self.current = tensor
        assert self.file is not None
        self.file.write(data)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def header(family: Family, names: list[str]) -> bytes:
    """The head of a safetensors file: length, JSON padded to eight bytes."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        shape = family.shapes[name]
        end = offset + int(np.prod(shape)) * ITEM_BYTES[family.dtype]
        entries[name] = {
            "dtype": family.dtype,
            "shape": list(shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
