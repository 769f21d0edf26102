import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stockpot.cli.app import execute

Run = Callable[..., Any]


class Result:
    """What a command did: its exit code, and what it wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1, self.out
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def cli(*tokens: object) -> Result:
        capsys.readouterr()
        code = execute([str(token) for token in tokens])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return cli


def network(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "embed_tokens.weight": torch.randn(20, 8, generator=generator),
        "layers.0.q.weight": torch.randn(8, 8, generator=generator),
        "layers.0.q.bias": torch.randn(8, generator=generator),
        "layers.1.q.weight": torch.randn(8, 8, generator=generator),
        "layers.1.q.bias": torch.randn(8, generator=generator),
        "head.weight": torch.randn(4, 8, generator=generator),
    }
    return tensors | {"bn.num_batches_tracked": torch.tensor(3)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with base.safetensors, a.safetensors, b.safetensors, and a model d/."""
    monkeypatch.chdir(tmp_path)
    base = network(0)
    save_file(base, "base.safetensors")
    for k, name in enumerate("ab", start=1):
        near = {n: base[n] + 0.1 * t if t.is_floating_point() else t for n, t in network(k).items()}
        save_file(near, f"{name}.safetensors")
    (tmp_path / "d").mkdir()
    save_file(network(3), "d/model.safetensors")
    (tmp_path / "d" / "config.json").write_text('{"torch_dtype": "float32"}')
    return tmp_path
