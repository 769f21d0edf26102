"""Weights that a network computes from several tensors are merged as it uses them.

The networks' own layers, of PyTorch, say what the effective weights are.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils import spectral_norm as hooked_spectral_norm

import stockpot as sp
from stockpot.checkpoints.entry import from_state_dict
from stockpot.checkpoints.roles import Role
from stockpot.engine.driver import Run
from stockpot.engine.merge import merge_opened
from stockpot.engine.options import Options
from stockpot.engine.plan import make_plan
from stockpot.engine.verify import verify
from stockpot.errors import StockpotError
from stockpot.factors import factor_to
from stockpot.methods import Average, Cart, Slerp, TaskArithmetic, Ties
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.resolving.assignment import Assignment
from stockpot.recipes.resolving.resolve import resolve
from stockpot.views.parametrised import (
    Pruned,
    SpectralNorm,
    WeightNorm,
    parametrised_in,
)

Make = Callable[[], nn.Module]


def hooked_weight_norm(module: nn.Module, **more: object) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(module, **more)  # pyright: ignore


def trained(make: Make, seed: int) -> nn.Module:
    """A network of its own weights, its singular vectors found by its own iteration."""
    torch.manual_seed(seed)
    net = make()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    net.train()
    for _ in range(60):
        net(torch.zeros(1, 6, *[8] * dims(net)))
    return net.eval()


def dims(net: nn.Module) -> int:
    return 1 if isinstance(net, nn.Conv1d) else 2


def effective(make: Make, state: dict[str, Tensor]) -> Tensor:
    """The weight that a layer of that kind computes with, after a pass in evaluation."""
    net = make()
    net.load_state_dict(state)
    net.eval()(torch.zeros(1, 6, *[8] * dims(net)))
    return net.weight.detach()  # pyright: ignore


NORMED: dict[str, Make] = {
    "hooked": lambda: hooked_weight_norm(nn.Conv2d(6, 4, 3)),
    "hooked, dim 2": lambda: hooked_weight_norm(nn.Conv1d(6, 4, 3), dim=2),
    "hooked, one norm": lambda: hooked_weight_norm(nn.Conv2d(6, 4, 3), dim=None),
    "new": lambda: parametrizations.weight_norm(nn.Conv2d(6, 4, 3)),
    "new, dim 1": lambda: parametrizations.weight_norm(nn.Conv2d(6, 4, 3), dim=1),
}


@pytest.mark.parametrize("make", NORMED.values(), ids=NORMED)
@pytest.mark.parametrize("where", ["memory", "files"])
def test_weight_norm_is_merged_as_its_product(make: Make, where: str, tmp_path: Path) -> None:
    nets = [trained(make, seed) for seed in range(3)]
    state = merged(nets, Average(), where, tmp_path, weights=[1, 2, 3])
    weights = [effective(make, net.state_dict()).double() for net in nets]
    mean = (weights[0] + 2 * weights[1] + 3 * weights[2]) / 6
    torch.testing.assert_close(effective(make, state).double(), mean, rtol=3e-6, atol=3e-7)


def merged(
    nets: Sequence[nn.Module], method: object, where: str, folder: Path, **more: object
) -> dict[str, Tensor]:
    states = [net.state_dict() for net in nets]
    in_memory = sp.merge(states, method, **more)  # pyright: ignore
    if where == "memory":
        return in_memory
    paths = []
    for i, state in enumerate(states):
        paths.append(folder / f"{i}.safetensors")
        save_file(state, paths[-1])
    done = sp.merge_to(folder / "out", paths, method, memory="16MiB", **more)  # pyright: ignore
    found = load_file(folder / "out" / "model.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in in_memory.items())
    assert found.keys() == in_memory.keys() == states[0].keys()
    assert verify(folder / "out", recompute=True).problems == ()
    assert done.tensors == len(found)
    return found


@pytest.mark.parametrize("method", [Ties(density=0.5), TaskArithmetic(scale=0.4), Slerp(t=0.3)])
def test_whichever_method(method: object) -> None:
    make = NORMED["hooked"]
    states = [trained(make, seed).state_dict() for seed in range(3)]
    plain = [{"weight": effective(make, state), "bias": state["bias"]} for state in states]
    found = [
        sp.merge(some[:2], method)
        if isinstance(method, Slerp)
        else sp.merge(some[1:], method, base=some[0])  # pyright: ignore
        for some in (states, plain)
    ]
    torch.testing.assert_close(effective(make, found[0]), found[1]["weight"], rtol=1e-5, atol=1e-6)


def test_a_large_product_is_the_same_for_any_memory(tmp_path: Path) -> None:
    """Norms over the last dimension of a tensor of many chunks."""
    paths, states = [], []
    for seed in range(2):
        g = torch.Generator().manual_seed(seed)
        v = torch.randn(96, 40, 64, generator=g).half()
        states.append({"c.weight_g": torch.rand(1, 1, 64, generator=g).half(), "c.weight_v": v})
        paths.append(tmp_path / f"{seed}.safetensors")
        save_file(states[-1], paths[-1])
    whole = sp.merge(states, Average(), dtype="float32")
    sp.merge_to(tmp_path / "o", paths, Average(), dtype="float32", memory="8MiB", workers=2)
    found = load_file(tmp_path / "o" / "model.safetensors")
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    products = [
        s["c.weight_g"].double() * (v := s["c.weight_v"].double()) / v.norm(dim=(0, 1))
        for s in states
    ]
    torch.testing.assert_close(
        whole["c.weight_v"].double(), sum(products) / 2, rtol=1e-6, atol=1e-8
    )
    norms = (sum(products) / 2).norm(dim=(0, 1), keepdim=True)
    torch.testing.assert_close(whole["c.weight_g"].double(), norms, rtol=1e-6, atol=0)


def test_copies_come_whole() -> None:
    states = [trained(NORMED["hooked"], seed).state_dict() for seed in range(2)]
    for pattern in ("weight_*", "weight_v"):
        copied = merge_with_rule(states, {"match": pattern, "copy": 1})
        assert torch.equal(copied["weight_v"], states[1]["weight_v"])
        assert torch.equal(copied["weight_g"], states[1]["weight_g"])


def merge_with_rule(states: list[dict[str, Tensor]], rule: dict[str, object]) -> dict[str, Tensor]:
    recipe = parse_recipe({"method": "average", "models": ["a", "b"], "rules": [rule]})
    opened = [from_state_dict(s, label) for s, label in zip(states, "ab", strict=True)]
    return merge_opened(recipe, opened, None, Options(device="cpu"))


def test_a_slice_that_vanishes_is_refused() -> None:
    state = trained(NORMED["new"], 0).state_dict()
    minus = state | {
        "parametrizations.weight.original1": -state["parametrizations.weight.original1"]
    }
    with pytest.raises(StockpotError, match="merged to zeros in a slice, and weight norm divides"):
        sp.merge([state, minus], Average())


def test_one_spelling_without_its_other_half_is_missing() -> None:
    state = trained(NORMED["hooked"], 0).state_dict()
    half = {name: tensor for name, tensor in state.items() if name != "weight_g"}
    with pytest.raises(StockpotError, match=r"'weight_g' is missing from models\[1\]"):
        sp.merge([state, half], Average())


SPECTRAL: dict[str, Make] = {
    "hooked": lambda: hooked_spectral_norm(nn.Conv2d(6, 4, 3)),
    "hooked, dim 1": lambda: hooked_spectral_norm(nn.ConvTranspose2d(6, 6, 3)),
    "new": lambda: parametrizations.spectral_norm(nn.Conv2d(6, 4, 3)),
    "new, dim 1": lambda: parametrizations.spectral_norm(nn.ConvTranspose2d(6, 6, 3)),
}


@pytest.mark.parametrize("where", ["memory", "files"])
@pytest.mark.parametrize("name", SPECTRAL)
def test_vectors_of_spectral_norm_belong_to_the_merged_weight(
    name: str, where: str, tmp_path: Path
) -> None:
    nets = [trained(SPECTRAL[name], seed) for seed in range(2)]
    state = merged(nets, Average(), where, tmp_path)
    key = "parametrizations.weight.original" if name.startswith("new") else "weight_orig"
    weight = (nets[0].state_dict()[key].double() + nets[1].state_dict()[key].double()) / 2
    rows = weight.movedim(1 if "dim 1" in name else 0, 0).flatten(1)
    sigma = torch.linalg.matrix_norm(rows, 2)
    torch.testing.assert_close(
        effective(SPECTRAL[name], state).double(), weight / sigma, rtol=1e-6, atol=1e-7
    )


def test_singular_values_are_told_and_certified(tmp_path: Path) -> None:
    nets = [nn.utils.spectral_norm(nn.Linear(300, 200)) for _ in range(2)]
    merged(nets, Average(), "files", tmp_path)
    told = json.loads((tmp_path / "out" / "merge.json").read_text())["tensors"]
    weight = sum(net.weight_orig.detach().double() for net in nets) / 2  # pyright: ignore
    sigma = float(torch.linalg.matrix_norm(weight, 2))
    for name in ("weight_u", "weight_v"):
        assert told[name]["derived"] == "weight_orig"
        assert told[name]["settled"]["sigma"] == pytest.approx(sigma, rel=1e-5)
        assert len(told[name]["from"]) == 3


def test_a_weight_merged_to_zero_keeps_the_first_vectors() -> None:
    state = nn.utils.spectral_norm(nn.Linear(5, 4)).state_dict()
    minus = state | {"weight_orig": -state["weight_orig"]}
    found = sp.merge([state, minus], Average())
    assert torch.equal(found["weight_u"], state["weight_u"])
    assert not found["weight_orig"].any()


def pruned(seed: int, amount: float = 0.5) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Conv2d(6, 4, 3)
    prune.l1_unstructured(net, "weight", amount)
    net.weight_orig.data[net.weight_mask == 0] = torch.nan  # pyright: ignore
    return net


@pytest.mark.parametrize("where", ["memory", "files"])
def test_pruned_weights_are_merged_as_they_act(where: str, tmp_path: Path) -> None:
    """What lies under a mask does not count, not even NaN; masks that differ are united."""
    nets = [pruned(0), pruned(1, 0.7)]
    state = merged(nets, Average(), where, tmp_path)
    masks = [net.weight_mask for net in nets]  # pyright: ignore
    weights = [
        net.weight_orig.detach().nan_to_num() * m for net, m in zip(nets, masks, strict=True)
    ]  # pyright: ignore
    torch.testing.assert_close(
        state["weight_orig"] * state["weight_mask"], (weights[0] + weights[1]) / 2
    )
    assert torch.equal(state["weight_mask"] > 0, (masks[0] > 0) | (masks[1] > 0))


def test_equal_masks_stay_and_differing_ones_are_told(caplog: pytest.LogCaptureFixture) -> None:
    first, other = pruned(0), pruned(0)
    other.weight_orig.data.mul_(3)  # pyright: ignore
    state = sp.merge([first.state_dict(), other.state_dict()], Average())
    assert torch.equal(state["weight_mask"], first.weight_mask)  # pyright: ignore
    assert "masks differ" not in caplog.text
    sp.merge([first.state_dict(), pruned(1).state_dict()], Average())
    assert "pruning masks differ between the models; the output keeps what any" in caplog.text


def test_what_looks_like_one_is_taken_for_none() -> None:
    odd = {
        "a.weight_v": torch.ones(3, 4),  # without g
        "b.weight_g": torch.ones(3), "b.weight_v": torch.ones(4, 3),  # of another shape
        "c.weight_orig": torch.ones(3, 4), "c.weight_u": torch.ones(5), "c.weight_v": torch.ones(4),
        "d.weight_orig": torch.ones(3, 4), "d.weight_mask": torch.ones(4),
        "e.proj_g": torch.ones(3, 1), "e.proj_v": torch.ones(3, 4),
    }  # fmt: skip
    assert parametrised_in(from_state_dict(odd, "odd").entries) == ()
    for state, kinds in (
        (trained(NORMED["new"], 0).state_dict(), (WeightNorm,)),
        (trained(SPECTRAL["new"], 0).state_dict(), (SpectralNorm,)),
        (pruned(0).state_dict(), (Pruned,)),
    ):
        found = parametrised_in(from_state_dict(state, "net").entries)
        assert tuple(map(type, found)) == kinds


def test_factors_are_not_kept_of_them(tmp_path: Path) -> None:
    for i in range(2):
        net = nn.utils.spectral_norm(nn.Linear(8, 8))
        state = {f"blocks.0.attn.proj.{n}": t for n, t in net.state_dict().items()}
        save_file(state, tmp_path / f"{i}.safetensors")
    models = [tmp_path / f"{i}.safetensors" for i in range(2)]
    with pytest.raises(StockpotError, match="factors are not kept where tensors follow"):
        factor_to(tmp_path / "out", models, Cart(tensors="matrices"))


@pytest.mark.parametrize("makes", [NORMED, SPECTRAL], ids=["weight norm", "spectral norm"])
@pytest.mark.parametrize("first", ["hooked", "new"])
def test_both_spellings_are_merged_under_the_first_s(
    makes: dict[str, Make], first: str, caplog: pytest.LogCaptureFixture
) -> None:
    second = {"hooked": "new", "new": "hooked"}[first]
    nets = [trained(makes[name], seed) for seed, name in enumerate((first, second))]
    twin = trained(makes[first], 1)
    found = sp.merge([net.state_dict() for net in nets], Average())
    assert "They are matched" in caplog.text
    expected = sp.merge([nets[0].state_dict(), twin.state_dict()], Average())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_derived_tensors_are_resumed(tmp_path: Path) -> None:
    """A merge that stopped before its last tensors ends in the bytes of an unbroken one."""
    paths = []
    for seed in range(2):
        paths.append(tmp_path / f"{seed}.safetensors")
        save_file(trained(SPECTRAL["hooked"], seed).state_dict(), paths[-1])
    sp.merge_to(tmp_path / "whole.safetensors", paths, Average())
    derive = Run._derive

    def fail_at_v(run: Run, a: Assignment) -> None:
        if a.name == "weight_v":
            raise KeyboardInterrupt
        derive(run, a)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_derive", fail_at_v)
        with pytest.raises(KeyboardInterrupt):
            sp.merge_to(tmp_path / "o.safetensors", paths, Average())
    done = sp.merge_to(tmp_path / "o.safetensors", paths, Average(), resume=True)
    assert done.resumed == 3
    whole = load_file(tmp_path / "whole.safetensors")
    found = load_file(tmp_path / "o.safetensors")
    assert all(torch.equal(found[name], whole[name]) for name in whole)


def test_explain_says_what_is_derived(tmp_path: Path) -> None:
    states = [trained(NORMED["hooked"], seed).state_dict() for seed in range(2)]
    opened = [from_state_dict(s, label) for s, label in zip(states, "ab", strict=True)]
    recipe = parse_recipe({"method": "average", "models": ["a", "b"]})
    found = {a.name: a for a in resolve(recipe, opened).tensors}
    assert found["weight_g"].rule == "weight norm: the norms of the merged 'weight_v'"
    assert found["weight_v"].role is Role.CONV
    assert list(found) == list(states[0])


def test_what_does_not_fit_the_memory_is_refused_before_the_work() -> None:
    net = nn.utils.spectral_norm(nn.Linear(2000, 1500))
    opened = [from_state_dict(net.state_dict(), label) for label in "ab"]
    recipe = parse_recipe({"method": "average", "models": ["a", "b"]})
    assignments = resolve(recipe, opened)
    with pytest.raises(StockpotError, match="'weight_u' is computed from a whole tensor"):
        make_plan(assignments, memory=2**26, workers=1)
    plan = make_plan(assignments, memory=2**29, workers=1)
    assert 2**27 < plan.peak_memory < 2**29
    assert [a.name for a in plan.derived] == ["weight_u", "weight_v"]
