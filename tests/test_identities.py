"""What methods must be equal to in special cases (methods.md section 7)."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import stockpot as sp
from stockpot.core import SEGMENT, Method
from stockpot.methods import (
    METHODS,
    Average,
    Dare,
    Interpolate,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
    TrimmedMean,
)
from stockpot.testing.cases import State, bits, on_grid, smooth

from .cases import example

SHAPES = [(7, 9), (31,), (), (4, 1, 3)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
BASE, MODELS = smooth(SHAPES, 4, 0)
ONE, TWO, THREE, FOUR = MODELS


def close(one: State, other: State, tolerance: float = 1e-6) -> None:
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=0, atol=tolerance), name


def plus(state: State, *terms: tuple[float, State]) -> State:
    return {
        n: t + sum((c * other[n] for c, other in terms), torch.zeros(())) for n, t in state.items()
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_task_arithmetic_of_one_model_is_the_model(dtype: torch.dtype) -> None:
    base, (model,) = smooth(SHAPES, 1, 3, dtype)
    assert bits(sp.merge([model], TaskArithmetic(scale=1.0), base=base)) == bits(model)


def test_task_arithmetic_at_scale_zero_or_of_weights_zero_is_the_base() -> None:
    assert bits(sp.merge([ONE, TWO], TaskArithmetic(scale=0.0), base=BASE)) == bits(BASE)
    merged = sp.merge([ONE, TWO], TaskArithmetic(), base=BASE, weights=[0, 0])
    assert bits(merged) == bits(BASE)


def test_task_arithmetic_of_weights_one_over_k_is_the_average() -> None:
    merged = sp.merge(MODELS, TaskArithmetic(), base=BASE, weights=[0.25] * 4)
    assert bits(merged) == bits(sp.merge(MODELS, Average()))


def test_forgetting_and_analogies() -> None:
    forgot = sp.merge([ONE], TaskArithmetic(scale=-1.0), base=BASE)
    close(forgot, plus(BASE, (1, BASE), (-1, ONE)))
    analogy = sp.merge([ONE, TWO, THREE], TaskArithmetic(), base=BASE, weights=[1, 1, -1])
    close(analogy, plus(ONE, (1, TWO), (-1, THREE)))


@pytest.mark.parametrize("trim", ["model", "tensor"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("vote", ["mass", "count"])
def test_ties_of_one_model_untrimmed_is_the_model(trim: str, reduce: str, vote: str) -> None:
    method = Ties(density=1.0, trim=trim, reduce=reduce, vote=vote)
    close(sp.merge([ONE], method, base=BASE), ONE, 2e-7)
    base, (model,) = on_grid(SHAPES, 1, 0)
    assert bits(sp.merge([model], method, base=base)) == bits(model)


def test_ties_keeps_the_largest_of_one_task_vector() -> None:
    """Density 1/5 of one model: a fifth of the elements move, and they move most."""
    merged = sp.merge([ONE], Ties(density=0.2), base=BASE)
    moved = torch.cat([(merged[n] != BASE[n]).view(-1) for n in BASE])
    sizes = torch.cat([(ONE[n] - BASE[n]).abs().view(-1) for n in BASE])
    assert int(moved.sum()) == sizes.numel() // 5
    assert sizes[moved].min() > sizes[~moved].max()


def test_ties_of_one_tensor_ranks_alike_by_model_and_by_tensor() -> None:
    base, models = smooth([(400,)], 3, 2)
    by_model = sp.merge(models, Ties(trim="model"), base=base)
    assert bits(by_model) == bits(sp.merge(models, Ties(trim="tensor"), base=base))


def test_ties_without_conflict_is_the_mean_of_task_vectors() -> None:
    """All task vectors of one sign, untrimmed: nothing is voted down."""
    models = [{n: t + k * t.abs() for n, t in BASE.items()} for k in (1.0, 2.0, 3.0)]
    merged = sp.merge(models, Ties(density=1.0), base=BASE)
    close(merged, sp.merge(models, Average()), 2e-6)
    total = sp.merge(models, Ties(density=1.0, reduce="sum"), base=BASE)
    close(total, sp.merge(models, TaskArithmetic(), base=BASE), 4e-6)


def test_ties_votes_by_mass_or_by_count() -> None:
    base = {"w": torch.zeros(1)}
    models = [{"w": torch.tensor([x])} for x in (1.0, 2.0, -8.0)]
    by_mass = sp.merge(models, Ties(density=1.0), base=base)["w"]
    by_count = sp.merge(models, Ties(density=1.0, vote="count"), base=base)["w"]
    assert (by_mass.item(), by_count.item()) == (-8.0, 1.5)


@pytest.mark.parametrize("rescale", ["inverse", "norm", "none"])
def test_dare_that_drops_nothing_is_task_arithmetic(rescale: str) -> None:
    weights = [0.5, 1.0, -0.25, 0.75]
    dare = sp.merge(MODELS, Dare(density=1.0, rescale=rescale), base=BASE, weights=weights)
    close(dare, sp.merge(MODELS, TaskArithmetic(), base=BASE, weights=weights))


def test_dare_by_vote_that_drops_nothing_is_ties() -> None:
    dare = sp.merge(MODELS, Dare(density=1.0, merge="ties"), base=BASE)
    assert bits(dare) == bits(sp.merge(MODELS, Ties(density=1.0), base=BASE))


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_dare_keeps_the_expectation(density: float) -> None:
    """Mean over seeds and elements of the rescaled task vector: five standard errors."""
    base, model = {"w": torch.zeros(2000)}, {"w": torch.ones(2000)}
    merged = [sp.merge([model], Dare(density=density), base=base, seed=s)["w"] for s in range(20)]
    kept = torch.stack(merged)
    error = ((1 - density) / density / kept.numel()) ** 0.5
    assert abs(kept.mean().item() - 1) < 5 * error
    assert set(kept.unique().tolist()) <= {0.0, torch.tensor(1 / density).item()}
    rows = kept.mean(1)  # and no seed strays
    assert (rows - 1).abs().max() < 5 * error * 20**0.5


def test_dare_by_norm_restores_the_norm() -> None:
    merged = sp.merge([ONE], Dare(density=0.4, rescale="norm"), base=BASE)
    for name in BASE:
        before = (ONE[name] - BASE[name]).abs().sum()
        after = (merged[name] - BASE[name]).abs().sum()
        assert torch.allclose(after, before, rtol=1e-5) or after == 0


@pytest.mark.parametrize("clip", [True, False])
def test_model_stock_of_parallel_task_vectors_is_the_average(clip: bool) -> None:
    base = {"w": torch.tensor([1.0, -2.0, 0.5])}
    models = [{"w": base["w"] + k * torch.tensor([0.25, 0.5, -1.0])} for k in (1, 2, 4)]
    close(sp.merge(models, ModelStock(clip=clip), base=base), sp.merge(models, Average()))


@pytest.mark.parametrize("clip", [True, False])
def test_model_stock_of_orthogonal_task_vectors_is_the_base(clip: bool) -> None:
    base = {"w": torch.tensor([1.0, -2.0, 0.5])}
    models = [{"w": base["w"] + row} for row in 3 * torch.eye(3)]
    assert bits(sp.merge(models, ModelStock(clip=clip), base=base)) == bits(base)


def test_model_stock_clips_what_points_apart() -> None:
    base = {"w": torch.zeros(2)}
    models = [{"w": torch.tensor(v)} for v in ([1.0, 0.0], [-0.6, 0.8])]
    assert bits(sp.merge(models, ModelStock(), base=base)) == bits(base)
    free = sp.merge(models, ModelStock(clip=False), base=base)["w"]
    assert torch.allclose(free, -3 * torch.tensor([0.2, 0.4]))  # cos -0.6: t = -1.2 / 0.4


def test_model_stock_leaves_models_at_the_base_out() -> None:
    merged = sp.merge([ONE, BASE], ModelStock(), base=BASE)
    close(merged, sp.merge([ONE, BASE], Average()))


@pytest.mark.parametrize("method", [Interpolate, Slerp])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_ends_of_the_line_and_of_the_arc(method: type[Method], dtype: torch.dtype) -> None:
    _, (one, two) = smooth(SHAPES, 2, 5, dtype)
    assert bits(sp.merge([one, two], method(t=0.0))) == bits(one)
    assert bits(sp.merge([one, two], method(t=1.0))) == bits(two)


@given(t=st.floats(-3, 4))
@settings(max_examples=20)
def test_interpolate_is_the_line_also_beyond_its_ends(t: float) -> None:
    close(sp.merge([ONE, TWO], Interpolate(t=t)), plus(ONE, (t, TWO), (-t, ONE)), 2e-6)
    close(sp.merge([ONE, TWO], Interpolate(t=t)), sp.merge([TWO, ONE], Interpolate(t=1 - t)), 2e-6)


def test_interpolate_from_the_base_is_task_arithmetic_of_one() -> None:
    for t in (0.3, 1.7, -0.5):
        line = sp.merge([ONE], Interpolate(t=t), base=BASE)
        close(line, sp.merge([ONE], TaskArithmetic(scale=t), base=BASE))
        assert bits(line) == bits(sp.merge([BASE, ONE], Interpolate(t=t)))


def test_interpolate_halfway_is_the_average_and_the_median_of_two() -> None:
    average = bits(sp.merge([ONE, TWO], Average()))
    assert bits(sp.merge([ONE, TWO], Interpolate(t=0.5))) == average
    median = sp.merge([ONE, TWO], Median())
    close(median, sp.merge([ONE, TWO], Average()), 3e-7)


def test_the_median_is_a_model_s_element_or_between_two() -> None:
    stacked = {n: torch.stack([m[n] for m in MODELS]) for n in BASE}
    odd = sp.merge(MODELS[:3], Median())
    assert bits(odd) == bits({n: rows[:3].median(0).values for n, rows in stacked.items()})
    even = sp.merge(MODELS, Median())
    middle = {n: rows.sort(0).values[1:3] for n, rows in stacked.items()}
    close(even, {n: rows.mean(0) for n, rows in middle.items()}, 3e-7)


def test_the_median_outvotes_a_poisoned_model() -> None:
    poison = {n: torch.full_like(t, 1e30) for n, t in BASE.items()}
    assert bits(sp.merge([ONE, ONE, poison], Median())) == bits(ONE)


def test_the_trimmed_mean_lies_between_average_and_median() -> None:
    close(sp.merge(MODELS, TrimmedMean(trim=0.0)), sp.merge(MODELS, Average()), 3e-7)
    assert bits(sp.merge(MODELS, TrimmedMean(trim=0.49))) == bits(sp.merge(MODELS, Median()))
    poison = {n: torch.full_like(t, 1e30) for n, t in BASE.items()}
    trimmed = sp.merge([ONE, ONE, ONE, poison], TrimmedMean(trim=0.25))
    assert bits(trimmed) == bits(ONE)


def test_slerp_is_as_long_as_its_ends_and_halfway_between() -> None:
    rows = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    a, b = ({"w": row / row.norm()} for row in rows)
    angle = torch.acos(a["w"] @ b["w"])
    for t in (0.2, 0.5, 0.9, 1.4, -0.3):
        at = sp.merge([a, b], Slerp(t=t))["w"]
        assert abs(at.norm() - 1) < 1e-6
        assert abs(torch.acos((at @ a["w"]).clamp(-1, 1)) - abs(t) * angle) < 1e-5


@pytest.mark.parametrize("factor", [2.0**-20, 0.3, 4.0, 1e6])
def test_slerp_scales_with_its_ends(factor: float) -> None:
    """slerp(c a, c b) = c slerp(a, b); and the direction is that of a and b alone."""
    a, b = smooth([(300,)], 2, 9)[1]
    merged = sp.merge([a, b], Slerp(t=0.3, lerp_above=1.0))
    larger = [{n: factor * t for n, t in state.items()} for state in (a, b)]
    scaled = sp.merge(larger, Slerp(t=0.3, lerp_above=1.0))
    close(scaled, {n: factor * t for n, t in merged.items()}, 1e-6 * factor * 4)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0, 1.5, -2.0, 3.3])
@pytest.mark.parametrize("line", [0.0, 0.9995, 1.0])
def test_slerp_of_what_has_no_arc_is_the_line(t: float, line: float) -> None:
    a = smooth([(300,)], 1, 9)[1][0]
    (name,) = a
    zero, opposite, double = ({name: c * a[name]} for c in (0, -1, 2))
    for other in (a, zero, opposite, double):
        merged = sp.merge([a, other], Slerp(t=t, lerp_above=line))
        assert bits(merged) == bits(sp.merge([a, other], Interpolate(t=t)))


def test_slerp_above_its_line_is_interpolate() -> None:
    a, b = smooth([(300,)], 2, 9)[1]
    (name,) = a
    cosine = torch.cosine_similarity(a[name].double(), b[name].double(), dim=0).item()
    line = bits(sp.merge([a, b], Interpolate(t=0.3)))
    assert bits(sp.merge([a, b], Slerp(t=0.3, lerp_above=cosine - 1e-6))) == line
    assert bits(sp.merge([a, b], Slerp(t=0.3, lerp_above=cosine + 1e-6))) != line


def test_the_average_of_linear_networks_is_their_ensemble() -> None:
    """For networks without a hidden layer the soup's logits are the mean of their logits."""
    torch.manual_seed(0)
    networks = [nn.Linear(8, 3).double() for _ in range(5)]
    weights = [1.0, 2.0, 0.5, 1.0, 0.5]
    soup = nn.Linear(8, 3).double()
    soup.load_state_dict(sp.merge(networks, Average(), weights=weights))
    inputs = torch.randn(20, 8, dtype=torch.float64)
    ensemble = sum(w * net(inputs) for w, net in zip(weights, networks, strict=True)) / 5
    assert torch.allclose(soup(inputs), ensemble, atol=1e-12)


def test_the_average_is_the_point_of_least_squared_distance() -> None:
    soup = sp.merge(MODELS, Average())

    def distance(state: State) -> Tensor:
        return sum(((state[n] - m[n]).double() ** 2).sum() for m in MODELS for n in state)

    for step in (1e-2, -1e-2):
        assert distance(plus(soup, (step, ONE))) > distance(soup)


def test_merging_merges_of_halves_is_merging_all() -> None:
    """Weighted averages compose: (2 · avg(1, 2) + 2 · avg(3, 4)) / 4."""
    halves = [sp.merge(MODELS[:2], Average()), sp.merge(MODELS[2:], Average())]
    close(sp.merge(halves, Average(), weights=[2, 2]), sp.merge(MODELS, Average()))


@pytest.mark.parametrize("cls", METHODS)
def test_streaming_is_merging_in_memory(cls: type[Method], tmp_path: Path) -> None:
    """Files larger than the budget's slices, and the state dicts themselves: the same bits."""
    method = example(cls)
    base, models = smooth([(3 * SEGMENT + 5,), (90, 7), ()], 2, 1, torch.bfloat16)
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, state in zip(paths, (base, *models), strict=True):
        save_file(state, path)
    takes_base = method.needs.base
    given = range(2) if method.needs.statistics else ()
    expected = sp.merge(
        models,
        method,
        base=base if takes_base else None,
        statistics=[models[k] for k in given],
        workers=1,
    )
    for memory, workers in (("1MiB", 1), ("64MiB", 2)):
        out = tmp_path / memory
        sp.merge_to(
            out,
            paths[1:],
            method,
            base=paths[0] if takes_base else None,
            statistics=[paths[1 + k] for k in given],
            memory=memory,
            workers=workers,
            device="cpu",
        )
        merged = load_file(out / "model.safetensors")
        assert bits(merged) == {name: bits(expected)[name] for name in merged}
