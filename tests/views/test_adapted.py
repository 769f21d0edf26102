"""Adapters on a model: what is added, to the formula in float64, and what is refused by name."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints.adapter import read_adapter
from stockpot.errors import CheckpointError
from stockpot.networks.weights import load_weights
from stockpot.views import Adapted, open_model

G = torch.Generator().manual_seed(5)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=G).to(dtype)


STATE = {
    "q.weight": noise(6, 4),
    "square.weight": noise(5, 5),
    "conv.weight": noise(8, 3, 2, 2),
    "wte.weight": noise(11, 4),
    "head.weight": noise(3, 4),
    "ln.weight": noise(4),
}
Q = {"q": (noise(2, 4), noise(6, 2))}


@pytest.fixture
def base(tmp_path):
    save_file(STATE, tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


def plus(base, adapter):
    return open_model(f"{base}+{adapter}").entries


def close(found: torch.Tensor, wanted: np.ndarray) -> None:
    """Rounded once from the float64 value."""
    gap = np.abs(found.double().numpy() - wanted)
    assert (gap <= 0.5 * np.spacing(np.abs(wanted).astype(np.float32)) * 1.001).all()


def f64(x: torch.Tensor) -> np.ndarray:
    return x.double().numpy()


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),
        ({"lora_alpha": 3}, 1.5),
        ({"use_rslora": True}, 4 / math.sqrt(2)),
        ({"lora_alpha": 0.5, "use_dora": False, "rank_pattern": {}, "target_modules": ["q"]}, 0.25),
    ],
)
def test_a_linear_layer(base, make_adapter, config, scale):
    entries = plus(base, make_adapter("lora", Q, **config))
    a, b = Q["q"]
    close(entries["q.weight"].load(), f64(STATE["q.weight"]) + scale * (f64(b) @ f64(a)))
    for name in STATE.keys() - {"q.weight"}:
        assert torch.equal(entries[name].load(), STATE[name])
    assert [one.name for one in entries["q.weight"].origins] == [
        "q.weight",
        "base_model.model.q.lora_B.weight",
        "base_model.model.q.lora_A.weight",
    ]


def test_it_is_stored_as_the_base_is(tmp_path, make_adapter):
    save_file({"q.weight": STATE["q.weight"].bfloat16()}, tmp_path / "half.safetensors")
    entry = plus(tmp_path / "half.safetensors", make_adapter("lora", Q))["q.weight"]
    assert (entry.dtype, entry.stored_dtype) == (torch.float32, torch.bfloat16)
    a, b = Q["q"]
    close(entry.load(), f64(STATE["q.weight"].bfloat16()) + 2 * (f64(b) @ f64(a)))


def test_weights_stored_in_out(base, make_adapter):
    """GPT-2's way: told by the shapes, and where a matrix is square by the configuration."""
    factors = {"q": (noise(2, 6), noise(4, 2)), "square": (noise(2, 5), noise(5, 2))}
    for name, stored in (("conv1d", True), ("linear", False)):
        entries = plus(base, make_adapter(name, factors, fan_in_fan_out=stored))
        a, b = factors["q"]
        close(entries["q.weight"].load(), f64(STATE["q.weight"]) + 2 * (f64(b) @ f64(a)).T)
        a, b = factors["square"]
        added = f64(b) @ f64(a)
        wanted = f64(STATE["square.weight"]) + 2 * (added.T if stored else added)
        close(entries["square.weight"].load(), wanted)


def test_a_convolution_and_an_embedding(base, make_adapter):
    a, b = noise(2, 3, 2, 2), noise(8, 2, 1, 1)
    rows, columns = noise(2, 11), noise(4, 2)
    saved = {
        "base_model.model.wte.lora_embedding_A": rows,
        "base_model.model.wte.lora_embedding_B": columns,
    }
    entries = plus(base, make_adapter("lora", {"conv": (a, b)}, saved))
    with torch.no_grad():
        down = torch.nn.functional.conv2d(a.double().permute(1, 0, 2, 3), b.double())
    wanted = f64(STATE["conv.weight"]) + 2 * down.permute(1, 0, 2, 3).numpy()
    close(entries["conv.weight"].load(), wanted)
    close(entries["wte.weight"].load(), f64(STATE["wte.weight"]) + 2 * (f64(columns) @ f64(rows)).T)


@pytest.mark.parametrize("name", ["head.weight", "head.modules_to_save.default.weight"])
def test_what_is_saved_whole_is_taken_whole(base, make_adapter, name):
    head = noise(5, 4)  # of another size
    saved = {f"base_model.model.{name}": head}
    lora = make_adapter("lora", Q, saved, modules_to_save=["head"])
    seen = open_model(f"{base}+{lora}")
    assert torch.equal(seen.entries["head.weight"].load(), head)
    assert seen.notes[-1].endswith(f"on 1 tensors of {base}, 1 taken whole.")


def test_two_adapters_and_a_tied_head(tmp_path, make_adapter):
    tied = {"wte.weight": STATE["wte.weight"], "head.weight": STATE["wte.weight"]}
    torch.save(tied, tmp_path / "tied.pt")
    factors = [{"wte": (noise(1, 4), noise(11, 1))} for _ in range(2)]
    one, two = (make_adapter(f"lora{k}", f) for k, f in enumerate(factors))
    entries = open_model(f"{tmp_path / 'tied.pt'}+{one}+{two}").entries
    (a, b), (c, d) = (f["wte"] for f in factors)
    wanted = f64(STATE["wte.weight"]) + 2 * (f64(b) @ f64(a)) + 2 * (f64(d) @ f64(c))
    np.testing.assert_allclose(f64(entries["wte.weight"].load()), wanted, atol=4e-7)
    assert torch.equal(entries["wte.weight"].load(), entries["head.weight"].load())
    assert entries["head.weight"].alias_of == "wte.weight"
    assert len(entries["wte.weight"].origins) == 5


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "IA3"}, "a PEFT adapter of the kind 'IA3'; plain LoRA is added here"),
        ({"use_dora": True}, "with use_dora: True"),
        ({"rank_pattern": {"q": 4}}, "with rank_pattern: {'q': 4}"),
        ({"alpha_pattern": {"q": 4}}, "with alpha_pattern"),
        ({"bias": "all"}, "with bias: 'all'"),
        ({"init_lora_weights": "pissa_niter_4"}, "with init_lora_weights: 'pissa_niter_4'"),
        ({"layer_replication": [[0, 1]]}, "with layer_replication"),
        ({"target_parameters": ["experts.w"]}, "with target_parameters"),
        ({"a_key_of_tomorrow": 1}, "with a_key_of_tomorrow: 1"),
        ({"r": 3}, r"has rank 2; adapter_config.json says r 3. A rank for each module"),
        ({"r": "8"}, "must have r, a whole number, and lora_alpha, a number; got '8' and 4"),
        ({"lora_alpha": None}, "got 2 and None"),
    ],
)
def test_other_kinds_are_refused_by_name(base, make_adapter, config, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        plus(base, make_adapter("lora", Q, **config))
    if "with" in words or "kind" in words:
        assert "merge_and_unload(), save that, and name what that saves" in str(caught.value)


@pytest.mark.parametrize(
    ("factors", "saved", "words"),
    [
        (
            {"qq": Q["q"]},
            {},
            "changes 'qq.weight', which .* does not have: did you mean 'q.weight'",
        ),
        (
            {"q": (noise(2, 5), noise(6, 2))},
            {},
            r"'q.weight' is torch.float32 \(6, 4\); the factor",
        ),
        (Q, {"base_model.model.head.bias": noise(3)}, "holds 'head.bias', which .* does not have"),
        (Q, {"base_model.model.ln.lora_A.weight": noise(2, 4)}, "lacks 'ln.lora_B'"),
        (Q, {"base_model.model.q.lora_magnitude_vector": noise(6)}, "with 'base_model.model.q.lor"),
        ({}, {}, "holds no tensors|holds no factors"),
    ],
)
def test_what_does_not_fit_is_refused(base, make_adapter, factors, saved, words):
    with pytest.raises(CheckpointError, match=words):
        plus(base, make_adapter("lora", factors, saved))


def test_a_torch_file_and_named_factors(base, make_adapter):
    lora = make_adapter("lora", Q)
    wanted = plus(base, lora)["q.weight"].load()
    state = {
        "base_model.model.q.lora_A.default.weight": Q["q"][0],
        "base_model.model.q.lora_B.default.weight": Q["q"][1],
    }
    (lora / "adapter_model.safetensors").unlink()
    torch.save(state, lora / "adapter_model.bin")
    assert torch.equal(plus(base, lora)["q.weight"].load(), wanted)


def test_a_broken_configuration(base, make_adapter):
    lora = make_adapter("lora", Q)
    (lora / "adapter_config.json").write_text("[1")
    with pytest.raises(CheckpointError, match=r"adapter_config\.json is not valid JSON"):
        plus(base, lora)
    with pytest.raises(CheckpointError, match="is no PEFT adapter: expected a directory with"):
        read_adapter(base)


def test_the_view_by_itself(base, make_adapter):
    lora = make_adapter("lora", Q)
    seen = open_model(base, (Adapted(str(lora)),))
    same = Adapted()(open_model(base), read_adapter(lora))
    wanted = plus(base, lora)["q.weight"].load()
    assert torch.equal(seen.entries["q.weight"].load(), wanted)
    assert torch.equal(same.entries["q.weight"].load(), wanted)
    assert json.loads(read_adapter(lora).metadata["adapter_config.json"])["r"] == 2


def test_a_network_is_filled_from_it(tmp_path, make_adapter):
    """So `compare`, and all that builds networks, takes `base+adapter` too."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 6))
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    lora = make_adapter("lora", {"0": Q["q"]})
    before = f64(net[0].weight.detach().clone())
    load_weights(net, Path(f"{tmp_path / 'net.safetensors'}+{lora}"))
    a, b = Q["q"]
    close(net[0].weight.detach(), before + 2 * (f64(b) @ f64(a)))
