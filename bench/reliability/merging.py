"""Small merges that campaigns disturb: inputs, outputs of each shape, and what is whole."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.recipes.reading.recipe import parse_recipe

Tree = Mapping[str, bytes]
SHARDS = {"output": {"shard_size": 700}}


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of an output.

    Attributes:
        words: what is merged to what.
        name: of the output.
        recipe: what it says beside its models.
        before: the method of the output that is replaced; None where there is none.
    """

    words: str
    name: str
    recipe: Mapping[str, Any]
    before: str | None = None

    def merge(self, models: list[str], folder: Path, **options: Any) -> None:
        """Into `folder`, replacing what stood there where there is something to be replaced."""
        plain = {"method": "average", "models": models, **self.recipe}
        options = {"overwrite": self.before is not None, **options}
        _merge(plain, folder / self.name, **options)

    def prepare(self, models: list[str], folder: Path) -> None:
        """What stands there before."""
        folder.mkdir(parents=True)
        if self.before is not None:
            _merge({"method": self.before, "models": models}, folder / self.name)


CASES = (
    Case("a directory", "out", {}),
    Case("shards", "out", SHARDS),
    Case("a file", "out.safetensors", {}),
    Case("over a directory", "out", SHARDS, "median"),
    Case("over a file", "out.safetensors", {}, "median"),
)


def _merge(plain: Mapping[str, Any], out: Path, **options: Any) -> None:
    run_recipe(parse_recipe(plain), out, Options(memory="1MiB", workers=1, **options))


def inputs(folder: Path) -> list[str]:
    """Three small models as directories of the hub."""
    for k, name in enumerate("abc"):
        generator = torch.Generator().manual_seed(k)
        shapes = {"embed_tokens.weight": (7, 8), "h.0.w": (8, 8), "h.1.w": (8, 8), "norm": (8,)}
        tensors = {n: torch.randn(*shape, generator=generator) for n, shape in shapes.items()}
        (folder / name).mkdir(parents=True)
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "tiny", "torch_dtype": "float32", "vocab_size": 7}
        (folder / name / "config.json").write_text(json.dumps(config))
        (folder / name / "tokenizer.json").write_text('{"a": 1}')
    return [str(folder / name) for name in "abc"]


def tree(folder: Path) -> Tree:
    """Every file below a folder by its path, but for what lies in a `.partial`."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and ".partial/" not in str(file.relative_to(folder))
    }


def litter(folder: Path, case: Case) -> list[str]:
    """What lies in the folder beside the output."""
    own = {case.name, case.name + ".merge.json"} if "." in case.name else {case.name}
    return sorted({path.name for path in folder.iterdir()} - own)


@dataclass(slots=True)
class Count:
    """How often a promise was tried and held, and the first cases in which it did not."""

    tried: int = 0
    held: int = 0
    broken: tuple[str, ...] = ()

    def add(self, case: str, check: Callable[[], str | None]) -> None:
        """Try it once: the check gives None where the promise holds, else what is wrong."""
        self.tried += 1
        try:
            wrong = check()
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong is None:
            self.held += 1
        elif len(self.broken) < 5:
            self.broken += (f"{case}: {wrong}",)
