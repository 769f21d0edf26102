"""Adapters in PEFT's layout, made by hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

MakeAdapter = Callable[..., Path]


@pytest.fixture
def make_adapter(tmp_path: Path) -> MakeAdapter:
    """Writes an adapter's folder: factors A and B by module, and its configuration."""

    def make(
        name: str,
        factors: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        saved: Mapping[str, torch.Tensor] | None = None,
        **config: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        state = dict(saved or {})
        for module, (a, b) in factors.items():
            state[f"base_model.model.{module}.lora_A.weight"] = a
            state[f"base_model.model.{module}.lora_B.weight"] = b
        save_file(state, folder / "adapter_model.safetensors")
        rank = next(iter(factors.values()))[0].shape[0] if factors else 1
        said = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "bias": "none"} | config
        (folder / "adapter_config.json").write_text(json.dumps(said))
        return folder

    return make
