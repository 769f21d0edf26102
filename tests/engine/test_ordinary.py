"""Ordinary fine-tunes merge without a refusal or a note, to the right values, and load again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stockpot.engine.merge import merge_to
from stockpot.engine.verify import verify
from stockpot.methods import Average, TaskArithmetic

transformers = pytest.importorskip("transformers")

TEXT = {"vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
LLAMA = {**TEXT, "intermediate_size": 24, "num_key_value_heads": 1, "tie_word_embeddings": True}


def network(config: str, model: str, **fields: Any) -> Callable[[], Any]:
    return lambda: getattr(transformers, model)(getattr(transformers, config)(**fields))


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": network("LlamaConfig", "LlamaForCausalLM", **LLAMA),
    "gpt2": network(
        "GPT2Config", "GPT2LMHeadModel", vocab_size=24, n_positions=8, n_embd=16, n_layer=1,
        n_head=2,
    ),
    "bert": network(
        "BertConfig", "BertForMaskedLM", **TEXT, intermediate_size=24, max_position_embeddings=8
    ),
    "t5": network(
        "T5Config", "T5ForConditionalGeneration", vocab_size=24, d_model=16, d_kv=8, d_ff=24,
        num_layers=1, num_heads=2,
    ),
    "convnext v2": network(
        "ConvNextV2Config", "ConvNextV2ForImageClassification", hidden_sizes=[4, 8],
        depths=[1, 1], num_stages=2,
    ),
}  # fmt: skip


def written(folder: Path, make: Callable[[], Any], *, binary: bool) -> type[Any]:
    """A base and two fine-tunes of it, as the library saves them, or as torch files."""
    torch.manual_seed(0)
    model = make()
    start = [parameter.detach().clone() for parameter in model.parameters()]
    for name, size in (("base", 0.0), ("a", 0.01), ("b", 0.01)):
        with torch.no_grad():
            for parameter, before in zip(model.parameters(), start, strict=True):
                parameter.copy_(before + size * torch.randn_like(before))
        model.save_pretrained(folder / name)
        if binary:
            saved = folder / name / "model.safetensors"
            torch.save(load_file(saved), folder / name / "pytorch_model.bin")
            saved.rename(folder / f"{name}.safetensors")
    return type(model)


@pytest.mark.parametrize("binary", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_ordinary_pair(family: str, binary: bool, tmp_path: Path) -> None:
    cls = written(tmp_path, FAMILIES[family], binary=binary)
    files = {n: tmp_path / (f"{n}.safetensors" if binary else f"{n}/model.safetensors")
             for n in ("base", "a", "b")}  # fmt: skip
    base, a, b = (
        {name: tensor.double() for name, tensor in load_file(path).items()}
        for path in files.values()
    )
    models = [tmp_path / "a", tmp_path / "b"]
    average = merge_to(tmp_path / "average", models, Average())
    half = merge_to(tmp_path / "half", models, TaskArithmetic(scale=0.5), base=tmp_path / "base")
    for merged, wanted in (
        (average, {name: (a[name] + b[name]) / 2 for name in a}),
        (half, {name: base[name] + (a[name] + b[name] - 2 * base[name]) / 2 for name in a}),
    ):
        assert merged.notes == ()
        found = load_file(merged.path / "model.safetensors")
        assert found.keys() == wanted.keys()
        for name, tensor in found.items():
            torch.testing.assert_close(tensor.double(), wanted[name], rtol=2e-7, atol=2e-8)
        loaded, told = cls.from_pretrained(merged.path, output_loading_info=True)
        assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys"))
        assert all(torch.equal(loaded.state_dict()[name], found[name]) for name in found)
        assert verify(merged.path, recompute=True).ok
