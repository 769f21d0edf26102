"""What tsv-m, iso-c and iso-cts cut: what rounding made, and nothing that training made.

References are the authors' steps in float64, in which every direction takes part.
"""

import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

import stockpot as sp
from stockpot.core import Stack
from stockpot.methods import IsoC, IsoCts, TsvM

from ..contract.steps import told_of

Around = IsoC | IsoCts | TsvM
METHODS = (IsoC(), IsoCts(), TsvM())
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)


def polar(stack: Tensor) -> Tensor:
    u, _, v = torch.linalg.svd(stack, full_matrices=False)
    return u @ v


def first(delta: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    u, s, v = torch.linalg.svd(delta, full_matrices=False)
    return u[:, :count], s[:count], v[:count]


def iso_c(deltas: list[Tensor]) -> Tensor:
    total = sum(deltas, torch.zeros(()))
    return polar(total) * torch.linalg.svdvals(total).mean()


def iso_cts(deltas: list[Tensor]) -> Tensor:
    total, count = sum(deltas, torch.zeros(())), len(deltas)
    full = min(total.shape)
    own = round((full - int(full * 0.8 + 1e-9)) / count)
    common = first(total, full - own * count)
    rests = [delta - common[0] @ (common[0].T @ delta) for delta in deltas]
    parts = [*(first(rest, own) for rest in rests), common]
    left, right = torch.cat([p[0] for p in parts], 1), torch.cat([p[2] for p in parts])
    return polar(left) @ polar(right) * torch.cat([p[1] for p in parts]).mean()


def tsv_m(deltas: list[Tensor]) -> Tensor:
    parts = [first(delta, min(delta.shape) // len(deltas)) for delta in deltas]
    left, right = torch.cat([p[0] for p in parts], 1), torch.cat([p[2] for p in parts])
    return polar(left) * torch.cat([p[1] for p in parts]) @ polar(right)


AUTHORS: dict[type, Callable[[list[Tensor]], Tensor]] = {IsoC: iso_c, IsoCts: iso_cts, TsvM: tsv_m}


@cache
def fine_tunes(optimiser: str) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """A perceptron with a softmax head, and four fine-tunes of it, each on a task of its own."""

    def network() -> torch.nn.Sequential:
        layers = [torch.nn.Linear(40, 160), torch.nn.ReLU(), torch.nn.Linear(160, 150)]
        return torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(150, 8))

    def train(net: torch.nn.Sequential, seed: int, rate: float, steps: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        centres = torch.randn(8, 40, generator=generator)
        kind = torch.optim.AdamW if optimiser == "adamw" else torch.optim.SGD
        stepper = kind(net.parameters(), lr=rate)
        for _ in range(steps):
            labels = torch.randint(8, (32,), generator=generator)
            inputs = centres[labels] + torch.randn(32, 40, generator=generator)
            stepper.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs), labels).backward()
            stepper.step()

    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = network()
    rate = 1e-3 if optimiser == "adamw" else 5e-2
    train(base, 99, rate, 20)
    models = []
    for seed in range(4):
        model = network()
        model.load_state_dict(base.state_dict())
        train(model, seed, rate / 20 if optimiser == "adamw" else rate, 80)
        models.append({n: t.detach().clone() for n, t in model.state_dict().items()})
    return {n: t.detach().clone() for n, t in base.state_dict().items()}, models


def missed(method: Around, base: Tensor, models: list[Tensor]) -> float:
    """How far from the authors' steps in float64, of what they change; less what storing costs."""
    merged = sp.merge([{"w": model} for model in models], method, base={"w": base})["w"]
    exact = AUTHORS[type(method)]([model.double() - base.double() for model in models])
    stored = (base.double() + exact).to(base.dtype).double() - base.double()
    lost = float((stored - exact).norm())
    return (float((merged.double() - base.double() - exact).norm()) - 1.5 * lost) / float(
        exact.norm()
    )


def told(method: Around, base: Tensor, models: list[Tensor], dtype: torch.dtype) -> dict:
    """The report of a merge of weights that are stored in a dtype."""
    rows = [model.to(dtype).float() for model in models]
    count = len(rows)
    stack = Stack(
        models=rows,
        weights=(1.0,) * count,
        base=base.to(dtype).float(),
        stored=(dtype,) * (count + 1),
    )
    return told_of(method, stack)


@each_method
@pytest.mark.parametrize("name", ["0.weight", "2.weight", "4.weight"])
def test_adamw_fine_tunes_are_merged_as_the_authors_do(method: Around, name: str) -> None:
    base, models = fine_tunes("adamw")
    assert missed(method, base[name], [model[name] for model in models]) < 1e-4


@each_method
@pytest.mark.parametrize("power", [1.5, 2.0])
@pytest.mark.parametrize("shape", [(200, 160), (150, 260), (90, 90)])
def test_steep_task_vectors_are_merged_as_the_authors_do(
    method: Around, power: float, shape: tuple[int, int]
) -> None:
    """Values from 1 to 4e-5; in Iso-CTS and TSV-M weak directions turn strong ones."""
    generator = torch.Generator().manual_seed(3)

    def basis(length: int) -> Tensor:
        drawn = torch.randn(length, min(shape), generator=generator, dtype=torch.float64)
        return torch.linalg.qr(drawn).Q

    values = torch.arange(1, min(shape) + 1, dtype=torch.float64) ** -power
    base = torch.randn(shape, generator=generator) / 100
    deltas = [basis(shape[0]) * values @ basis(shape[1]).T for _ in range(4)]
    assert missed(method, base, [(base.double() + delta).float() for delta in deltas]) < 1e-4


@each_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_null_direction_of_a_trained_head_is_cut(method: Around, dtype: torch.dtype) -> None:
    """Gradients of a softmax head add up to nothing over the classes, but for roundings."""
    base, models = fine_tunes("sgd")
    heads = [model["4.weight"] for model in models]
    found = told(method, base["4.weight"], heads, dtype)
    rows = heads[0].double() - base["4.weight"].double()
    assert float(rows.sum(0).norm()) < 1e-5 * float(rows.norm())
    if isinstance(method, TsvM):  # two directions of each of four models, in seven that there are
        assert (found["rank"], found["cut"], found["dependent"]) == ([2] * 4, [0] * 4, 1)
    else:
        assert found["rank"][0] + found["cut"][0] == 8
        assert found["cut"][0] == 1


@each_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_units_that_never_learned_are_cut(method: Around, dtype: torch.dtype) -> None:
    """Rows without a change: 70 of 100 are left, and whatever is merged stays among them."""
    generator = torch.Generator().manual_seed(1)
    base = (torch.randn(100, 120, generator=generator) / 20).to(dtype).float()
    models = []
    for _ in range(3):
        change = torch.randn(100, 120, generator=generator) / 100
        change[:30] = 0
        models.append(base + change)
    found = told(method, base, models, dtype)
    if isinstance(method, TsvM):
        assert (found["rank"], found["dependent"]) == ([33] * 3, 29)
    else:
        assert found["cut"][0] == (30 if isinstance(method, IsoC) else 9)
    state = [{"w": model.to(dtype)} for model in models]
    merged = sp.merge(state, method, base={"w": base.to(dtype)})["w"]
    assert torch.equal(merged[:30], base[:30].to(dtype))


def test_a_tolerance_that_is_set_is_a_share_of_the_largest_value() -> None:
    base = torch.zeros(3, 3)
    model = torch.diag(torch.tensor([1.0, 1e-2, 1e-5]))
    ranks = {
        t: told(IsoC(tolerance=t), base, [model], torch.float32)["rank"] for t in (0, 1e-4, 0.1)
    }
    assert ranks == {0: [3], 1e-4: [2], 0.1: [1]}


def test_what_was_cut_is_in_the_manifest() -> None:
    base, models = fine_tunes("sgd")
    found = told(IsoC(), base["4.weight"], [model["4.weight"] for model in models], torch.float32)
    size = 0.5 * (math.sqrt(8) + math.sqrt(150))
    steps = [m["4.weight"].double().abs().frexp()[1].double().exp2() * 2.0**-24 for m in models]
    level = size * math.sqrt(sum(float((step**2).mean()) for step in steps))
    assert found["noise"] == pytest.approx(level, rel=0.05)


def test_iso_cts_keeps_s_where_s_times_k_is_the_rank() -> None:
    """Nothing is common then: R = 4, two models, s = 2 of each."""
    generator = torch.Generator().manual_seed(5)
    base = torch.zeros(4, 6)
    models = [torch.randn(4, 6, generator=generator) for _ in range(2)]
    method = IsoCts(common=0.01)
    assert told(method, base, models, torch.float32)["rank"] == [0, 2, 2]
    parts = [first(model.double(), 2) for model in models]
    left, right = torch.cat([p[0] for p in parts], 1), torch.cat([p[2] for p in parts])
    exact = polar(left) @ polar(right) * torch.cat([p[1] for p in parts]).mean()
    found = sp.merge([{"w": m} for m in models], method, base={"w": base})["w"]
    assert float((found - exact).norm() / exact.norm()) < 1e-6


def test_tsv_m_of_more_models_than_rows_leaves_the_matrix_to_the_base() -> None:
    """The authors' code keeps ⌊R/K⌋ directions of each, which is none."""
    generator = torch.Generator().manual_seed(5)
    base = {"w": torch.randn(2, 9, generator=generator)}
    models = [{"w": torch.randn(2, 9, generator=generator)} for _ in range(3)]
    assert torch.equal(sp.merge(models, TsvM(), base=base)["w"], base["w"])
    seen = Stack(models=[m["w"] for m in models], weights=(1.0,) * 3, base=base["w"])
    assert told_of(TsvM(scale=2.0), seen)["rank"] == [0, 0, 0]
