"""What CART, TSV-M, Iso-C and Iso-CTS must be equal to in special cases (methods.md section 7)."""

import pytest
import torch
from torch import Tensor

import stockpot as sp
from stockpot.methods import Average, Cart, IsoC, IsoCts, TaskArithmetic, TsvM
from stockpot.testing.cases import State, bits, smooth

SHAPES = [(40, 30), (12,), (150, 170), (2, 3, 4)]
BASE, MODELS = smooth(SHAPES, 4, 0)


def close(one: State, other: State, tolerance: float = 1e-5) -> None:
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=0, atol=tolerance), name


def only(state: Tensor) -> State:
    return {"w": state}


def basis(rows: int, columns: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    return torch.linalg.qr(drawn).Q


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_cart_at_full_rank_or_scale_zero_is_the_average(scale: float) -> None:
    average = sp.merge(MODELS, Average())
    close(sp.merge(MODELS, Cart(rank=1.0, scale=scale)), average)
    close(sp.merge(MODELS, Cart(energy=1.0, scale=scale)), average)
    assert bits(sp.merge(MODELS, Cart(rank=0.1, scale=0.0))) == bits(average)


@pytest.mark.parametrize("weights", [None, [0.3, 0.7]])
def test_cart_of_two_models_is_the_average(weights: list[float] | None) -> None:
    average = sp.merge(MODELS[:2], Average(), weights=weights)
    for method in (Cart(rank=0.05, scale=3.0), Cart(rank_count=7), Cart(energy=0.4)):
        close(sp.merge(MODELS[:2], method, weights=weights), average, 2e-6)
    assert bits(sp.merge(MODELS[:1], Cart(scale=2.0))) == bits(MODELS[0])


def test_cart_leaves_what_it_does_not_decompose_to_the_average() -> None:
    merged, average = sp.merge(MODELS, Cart(rank=0.2)), sp.merge(MODELS, Average())
    for name in ("layers.1.weight", "layers.3.weight"):
        assert torch.equal(merged[name], average[name])
    assert not torch.equal(merged["layers.0.weight"], average["layers.0.weight"])
    as_matrix = sp.merge(MODELS, Cart(rank=0.2, conv="as-matrix"))
    flat = [{"w": m["layers.3.weight"].flatten(1)} for m in MODELS]
    expected = sp.merge(flat, Cart(rank=0.2))["w"]
    assert torch.equal(as_matrix["layers.3.weight"].flatten(1), expected)


def test_cart_around_the_base_at_full_rank_is_task_arithmetic() -> None:
    weights = [0.5, 1.0, -0.25, 0.3]
    cart = sp.merge(MODELS, Cart(rank=1.0, scale=0.4, around="base"), base=BASE, weights=weights)
    close(cart, sp.merge(MODELS, TaskArithmetic(scale=0.4), base=BASE, weights=weights))


@pytest.mark.parametrize("shape", [(60, 48), (200, 160), (160, 200)])
def test_cart_keeps_task_vectors_of_low_rank(shape: tuple[int, int]) -> None:
    """Centred task vectors of rank 3 each, cut at 3: nothing is lost, so the sum is nothing."""
    left, right = basis(shape[0], 9), basis(shape[1], 9, 1)
    deltas = [left[:, 3 * k : 3 * k + 3] @ right[:, 3 * k : 3 * k + 3].T for k in range(3)]
    centre = torch.randn(shape, dtype=torch.float64)
    models = [only((centre + d).float()) for d in deltas]
    average = sp.merge(models, Average())
    close(sp.merge(models, Cart(rank_count=9)), average, 2e-5)
    around = sp.merge(models, Cart(rank_count=3, around="base"), base=only(centre.float()))
    close(around, only((centre + sum(deltas)).float()), 2e-5)


@pytest.mark.parametrize("shape", [(40, 32), (200, 160)])
def test_tsv_m_of_orthogonal_task_vectors_is_their_sum(shape: tuple[int, int]) -> None:
    size = min(shape)
    left, right = basis(shape[0], size), basis(shape[1], size, 1)
    share = size // 4
    spectrum = torch.linspace(3, 1, share, dtype=torch.float64)
    models = []
    for k in range(4):
        part = slice(k * share, (k + 1) * share)
        models.append(only((left[:, part] * spectrum @ right[:, part].T).float()))
    base = only(torch.zeros(shape))
    merged = sp.merge(models, TsvM(scale=0.7), base=base)
    close(merged, sp.merge(models, TaskArithmetic(scale=0.7), base=base))


def test_tsv_m_of_one_model_is_the_model() -> None:
    close(sp.merge(MODELS[:1], TsvM(), base=BASE), MODELS[0])


@pytest.mark.parametrize("shape", [(30, 20), (160, 150), (140, 170)])
def test_iso_c_of_orthonormal_task_vectors_is_their_sum(shape: tuple[int, int]) -> None:
    size = min(shape)
    delta = 0.3 * basis(shape[0], size) @ basis(shape[1], size, 1).T
    base = only(torch.randn(shape))
    model = only(base["w"] + delta.float())
    close(sp.merge([model], IsoC(), base=base), model)
    values = torch.linalg.svdvals(sp.merge(MODELS, IsoC(), base=BASE)["layers.2.weight"].double())
    assert values.max() > 0


def test_iso_c_makes_all_values_their_mean() -> None:
    zero = {name: torch.zeros_like(t) for name, t in BASE.items()}
    merged = sp.merge(MODELS, IsoC(), base=zero)["layers.2.weight"]
    total = sum(model["layers.2.weight"].double() for model in MODELS)
    mean = torch.linalg.svdvals(total).mean()
    found = torch.linalg.svdvals(merged.double())
    assert torch.allclose(found, mean.expand_as(found), rtol=1e-5)


@pytest.mark.parametrize("shape", [(50, 40), (180, 150)])
@pytest.mark.parametrize("method", [IsoC(), IsoCts(), TsvM()], ids=repr)
def test_task_vectors_that_lack_rank_get_no_random_directions(
    shape: tuple[int, int], method: IsoC | IsoCts | TsvM
) -> None:
    """As of LoRA: the merge stays in the span of what the models changed."""
    left, right = basis(shape[0], 6).float(), basis(shape[1], 6, 1).float()
    factors = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(1))
    models = [only(left @ factor @ right.T) for factor in factors]
    merged = sp.merge(models, method, base=only(torch.zeros(shape)))["w"]
    inside = left @ (left.T @ merged @ right) @ right.T
    assert float((merged - inside).norm() / merged.norm()) < 1e-3
    assert int((torch.linalg.svdvals(merged) > 1e-3 * merged.norm()).sum()) <= 6


def test_iso_cts_of_one_model_or_of_common_directions_alone_is_iso_c() -> None:
    close(
        sp.merge(MODELS[:1], IsoCts(common=0.6), base=BASE),
        sp.merge(MODELS[:1], IsoC(), base=BASE),
    )
    close(sp.merge(MODELS, IsoCts(common=1.0), base=BASE), sp.merge(MODELS, IsoC(), base=BASE))


def test_the_fast_route_and_the_slow_one_merge_alike() -> None:
    """Matrices above LAPACK's share of the work, against the same arithmetic in float64."""
    base, models = smooth([(300, 220)], 4, 3)
    wide = [{n: t.double() for n, t in m.items()} for m in models]
    origin = {n: t.double() for n, t in base.items()}
    for method in (Cart(rank=0.1, scale=2.0), TsvM(), IsoC(), IsoCts()):
        takes = method.needs.base
        found = sp.merge(models, method, base=base if takes else None)
        exact = sp.merge(wide, method, base=origin if takes else None)
        around = origin if takes else sp.merge(wide, Average())
        for name, tensor in found.items():
            moved = (exact[name] - around[name]).norm()
            missed = (tensor.double() - exact[name]).norm()
            rounding = 1e-7 * exact[name].norm()
            assert float(missed) <= float(1e-5 * moved + rounding) * 3, method
