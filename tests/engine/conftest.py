import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

DRIVER = Path(__file__).with_name("driver.py")


class Driver:
    """Runs merges in processes of their own; see driver.py for what a job may ask for."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, recipe: Mapping[str, Any], out: Path, **job: Any) -> int:
        """Begin a merge; returns its process id."""
        return self._ask({"recipe": recipe, "out": str(out), **job})["pid"]

    def wait(self, pid: int) -> dict[str, Any]:
        """Its exit status, and its report if it was not killed."""
        report = self._ask({"wait": pid})
        assert "crash" not in report, report["crash"]
        return report

    def run(self, recipe: Mapping[str, Any], out: Path, **job: Any) -> dict[str, Any]:
        """A merge from its beginning to its end."""
        return self.wait(self.start(recipe, out, **job))

    def killed(self, recipe: Mapping[str, Any], out: Path, at: int, **job: Any) -> None:
        """A merge that SIGKILL ends before its `at`-th operation."""
        report = self.run(recipe, out, kill_at=at, **job)
        assert report["status"] == -signal.SIGKILL

    def held(self, recipe: Mapping[str, Any], out: Path, at: int, scratch: Path, **job: Any) -> int:
        """A merge that waits before its `at`-th operation until `release`."""
        reached = scratch / "reached"
        pid = self.start(
            recipe, out, hold_at=at, reached=str(reached), go=str(scratch / "go"), **job
        )
        deadline = time.monotonic() + 60
        while not reached.exists():
            assert time.monotonic() < deadline, "the merge never came to the operation"
            time.sleep(0.005)
        return pid

    def release(self, pid: int, scratch: Path) -> dict[str, Any]:
        """Let a held merge go on to its end."""
        (scratch / "go").touch()
        return self.wait(pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    started = Driver()
    yield started
    started.close()


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a path, or beside it where it is a file: name -> bytes.

    Of merge.json all but the ways to its inputs and the seal: the same wherever the output stands.
    """

    def content(file: Path) -> bytes:
        if not file.name.endswith("merge.json"):
            return file.read_bytes()
        told = json.loads(file.read_text())
        for one in told.get("inputs", []):
            del one["path"]
        told.pop("seal", None)
        return json.dumps(told).encode()

    def tree(path: Path) -> dict[str, bytes]:
        if path.suffix == ".safetensors":
            sidecar = path.with_name(path.name + ".merge.json")
            return {file.name: content(file) for file in (path, sidecar)}
        return {
            str(file.relative_to(path)): content(file)
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }

    return tree


def state(seed: int, near: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """A small network: one tensor of many pieces, some of a few, and many to be packed."""
    shapes: dict[str, Sequence[int]] = {"embed_tokens.weight": (1000, 384)}
    for i in range(6):
        shapes[f"layers.{i}.q.weight"] = (64, 64)
        shapes[f"layers.{i}.norm.weight"] = (64,)
    shapes["layers.6.up.weight"] = (300, 256)
    generator = torch.Generator().manual_seed(seed)
    found = {n: torch.randn(*shape, generator=generator) for n, shape in shapes.items()}
    if near is not None:
        found = {n: near[n] + 0.1 * t for n, t in found.items()}
    return found | {"bn.num_batches_tracked": torch.tensor(7)}


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, a, b and c: directories as transformers writes them."""
    folder = tmp_path_factory.mktemp("family")
    base = state(0)
    for name, tensors in {
        "base": base,
        **{name: state(k, base) for k, name in enumerate("abc", start=1)},
    }.items():
        (folder / name).mkdir()
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "tiny", "torch_dtype": "float32", "architectures": ["Tiny"]}
        (folder / name / "config.json").write_text(json.dumps(config))
        (folder / name / "tokenizer.json").write_text("{}")
        (folder / name / "README.md").write_text("# the model's own card")
        (folder / name / ".hidden.json").write_text("{}")
    # files of one age, so that fingerprints do not depend on the order of creation
    for file in folder.rglob("*"):
        os.utime(file, ns=(10**18, 10**18))
    return folder


@pytest.fixture
def recipe(family: Path) -> Callable[..., dict[str, Any]]:
    """A recipe over the family in plain values."""

    def recipe(method: object = "average", **more: Any) -> dict[str, Any]:
        plain: dict[str, Any] = {"method": method, "models": [str(family / n) for n in "abc"]}
        return plain | {"base": str(family / "base")} | more

    return recipe
