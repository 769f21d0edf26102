"""A weave is the pool of the merges that its points give, to the last bit of float32."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from stockpot.core import SEGMENT, Method, Needs, Reach, Settled, Stack
from stockpot.engine.verify import verify
from stockpot.errors import FieldError, MergeError
from stockpot.methods import (
    Average,
    Cart,
    Consensus,
    Dare,
    Interpolate,
    IsoC,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
    Weave,
)
from stockpot.methods.grids import MOST_POINTS, grid_points
from stockpot.testing.cases import State, bits, smooth
from stockpot.values.fields import Finite, check_fields

from ..cases import cut

SHAPES = [(60, 31), (999,), (), (0, 3)]
BASE, MODELS = smooth(SHAPES, 3, 0)


def points_of(weave: Weave, models: list[State] = MODELS, **how: Any) -> list[State]:
    """What is pooled: a merge of its own for each point, and the models where they are included."""
    points = [merged(point, models, **how) for point in grid_points(weave.method, weave.grid)]
    return points + (models if weave.raw == "include" else [])


def merged(method: Method, models: list[State] = MODELS, **how: Any) -> State:
    return sp.merge(models, method, base=BASE if method.needs.base else None, **how)


WOVEN: list[tuple[Method, dict[str, Any]]] = [
    (TaskArithmetic(), {"scale": (0.2, 0.4, 1.0)}),
    (Ties(), {"scale": (0.5, 1.0), "density": (0.1, (0.3, 0.2, 1.0))}),
    (Ties(trim="tensor"), {"density": (0.1, 0.3), "vote": ("mass", "count")}),
    (Dare(), {"density": (0.1, 0.5)}),
    (Dare(density=0.3), {"rescale": ("inverse", "norm", "none")}),
    (ModelStock(), {"clip": (True, False)}),
    (Consensus(), {"agree": (1, 2), "ratio": (0.2, 0.6)}),
]
POOLS: list[Method] = [
    Average(),
    Median(),
    TaskArithmetic(scale=0.3),
    ModelStock(),
    Ties(density=0.4),
    Ties(density=0.4, trim="tensor"),
]


@pytest.mark.parametrize("raw", ["omit", "include"])
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize(("method", "grid"), WOVEN, ids=str)
def test_a_method_that_pools_merges_the_merges(
    method: Method, grid: dict[str, Any], pool: Method, raw: Any
) -> None:
    reaches = {method.needs.reach, pool.needs.reach} - {Reach.ELEMENT}
    reaches |= {Reach.TENSOR} if "rescale" in grid else set()
    if len(reaches) > 1:
        with pytest.raises(FieldError, match=r"^weave: some of it needs facts of each tensor"):
            Weave(method, grid=grid, pool=pool, raw=raw)
        return
    weave = Weave(method, grid=grid, pool=pool, raw=raw)
    assert bits(merged(weave, seed=3)) == bits(merged(pool, points_of(weave, seed=3), seed=3))


@pytest.mark.parametrize("raw", ["omit", "include"])
@pytest.mark.parametrize(("method", "grid"), WOVEN, ids=str)
def test_the_mean_is_the_average_of_the_merges(
    method: Method, grid: dict[str, Any], raw: Any
) -> None:
    weave = Weave(method, grid=grid, raw=raw)
    assert bits(merged(weave, seed=3)) == bits(merged(Average(), points_of(weave, seed=3)))


@pytest.mark.parametrize("raw", ["omit", "include"])
@pytest.mark.parametrize(("method", "grid"), WOVEN, ids=str)
def test_random_and_largest_take_each_element_from_a_merge(
    method: Method, grid: dict[str, Any], raw: Any
) -> None:
    drawn, far = (Weave(method, grid=grid, pool=p, raw=raw) for p in ("random", "largest"))
    points = points_of(drawn, seed=3)
    one, other = merged(drawn, seed=3), merged(far, seed=3)
    for name, origin in BASE.items():
        rows = torch.stack([point[name] for point in points])
        assert (one[name] == rows).any(0).all()
        assert (other[name] == rows).any(0).all()
        if rows.numel():
            sizes = (rows - origin).abs()
            assert torch.equal((other[name] - origin).abs(), sizes.max(0).values)


def test_random_takes_each_merge_as_often_and_what_the_seed_says() -> None:
    base = {"w": torch.zeros(40000)}
    models = [{"w": torch.ones(40000)}]
    weave = Weave(TaskArithmetic(), grid={"scale": (1, 2, 3, 4)}, pool="random")
    found = [sp.merge(models, weave, base=base, seed=seed)["w"] for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    counts = torch.bincount(found[0].long())[1:].double()
    assert (counts - 10000).abs().max() < 5 * (40000 * 0.25 * 0.75) ** 0.5


def test_random_draws_are_neither_those_of_the_method_nor_of_a_weave_within() -> None:
    """Dare keeps what its draw puts below the density; which point is taken says nothing of it."""
    base, models = {"w": torch.zeros(40000)}, [{"w": torch.ones(40000)}]
    dare = Dare(density=0.5, rescale="none")
    weave = Weave(dare, grid={"scale": (1, 2)}, pool="random")
    found = sp.merge(models, weave, base=base)["w"]
    counts = torch.bincount(found.long()).double()  # dropped, the first point, the second
    assert (counts - torch.tensor([20000, 10000, 10000])).abs().max() < 500
    nested = Weave(
        Weave(TaskArithmetic(), grid={"scale": (1, 2)}, pool="random"),
        grid={"raw": ("omit", "omit")},
        pool=Average(),
    )
    assert set(sp.merge(models, nested, base=base)["w"].tolist()) == {1.0, 2.0}
    within = Weave(TaskArithmetic(), grid={"scale": (1, 2)}, pool="random")
    outer = Weave(within, grid={"raw": ("omit", "include")}, pool="random")
    counts = torch.bincount(sp.merge(models, outer, base=base)["w"].long())[1:].double()
    # half of 1/2 and 1/2, half of 2/3 and 1/3, if the two draws have nothing to do with each other
    assert (counts / 40000 - torch.tensor([7 / 12, 5 / 12])).abs().max() < 0.02


@pytest.mark.parametrize(
    "method",
    [
        TaskArithmetic(),
        Ties(),
        Ties(trim="tensor", vote="count", reduce="sum"),
        Dare(),
        Dare(rescale="norm", merge="ties"),
        Consensus(),
    ],
    ids=str,
)
def test_a_linear_field_pooled_by_mean_is_the_method_at_the_mean(method: Any) -> None:
    """Weaving the scale is choosing its mean (arXiv 2510.13921 has no more than this there)."""
    scales = (0.1, 0.4, 0.7, 1.6)
    weave = Weave(method, grid={"scale": scales})
    at_mean = replace(method, scale=sum(scales) / 4)
    for name, found in merged(weave, seed=1).items():
        assert torch.allclose(found, merged(at_mean, seed=1)[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", [Interpolate(), Slerp()])
def test_two_models_in_order_are_woven_without_a_base(method: Method) -> None:
    weave = Weave(method, grid={"t": (0.0, 0.25, 1.5)}, pool="largest")
    assert (weave.needs.base, weave.needs.models) == (False, (2, 2))
    two = MODELS[:2]
    found, points = merged(weave, two), points_of(weave, two)
    average = sp.merge(two, Average())
    for name, tensor in found.items():
        sizes = torch.stack([(point[name] - average[name]).abs() for point in points])
        if tensor.numel():
            assert torch.equal((tensor - average[name]).abs(), sizes.max(0).values)
    from_base = sp.merge([MODELS[0]], weave, base=BASE)
    assert bits(from_base) == bits(sp.merge([BASE, MODELS[0]], weave))


@pytest.mark.parametrize("pool", ["mean", "random", "largest", Median(), ModelStock()])
@pytest.mark.parametrize("raw", ["omit", "include"])
def test_copies_of_one_model_are_that_model(pool: Any, raw: Any) -> None:
    one = MODELS[0]
    weave = Weave(ModelStock(), grid={"clip": (True, False)}, pool=pool, raw=raw)
    assert bits(merged(weave, [one] * 3)) == bits(one)
    line = Weave(Interpolate(), grid={"t": (0.2, 0.9, 1.5)}, pool=pool, raw=raw)
    if pool != ModelStock():
        assert bits(merged(line, [one, one])) == bits(one)


@dataclass(frozen=True, slots=True)
class RowsUnit(Method):
    """A method of whole matrices: the first model's rows at a length."""

    scale: Finite = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs(whole=True, weights="unused", symmetric=False)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        return F.normalize(stack.models[0], dim=-1) * self.scale


@pytest.mark.parametrize("pool", ["mean", "random", "largest", Median(), ModelStock()])
@pytest.mark.parametrize("raw", ["omit", "include"])
def test_methods_of_whole_matrices_are_woven_in_their_shape(pool: Any, raw: Any) -> None:
    base, models = smooth([(70, 31), (3, 4, 5), (9,)], 2, 3)
    weave = Weave(RowsUnit(), grid={"scale": (0.5, 2.0, -1.0)}, pool=pool, raw=raw)
    assert weave.needs.whole
    of_base = base if weave.needs.base else None
    found = sp.merge(models, weave, base=of_base, seed=4)
    points = [sp.merge(models, RowsUnit(scale=s)) for s in (0.5, 2.0, -1.0)]
    points += models if raw == "include" else []
    if pool in ("random", "largest"):
        for name, tensor in found.items():
            assert (torch.stack([point[name] for point in points]) == tensor).any(0).all()
        return
    expected = sp.merge(points, Average() if pool == "mean" else pool, base=of_base)
    assert bits(found) == bits(expected)


def test_one_point_is_the_method() -> None:
    for pool in ("mean", "random", "largest", Average()):
        weave = Weave(Ties(), grid={"density": (0.3,)}, pool=pool)
        assert bits(merged(weave)) == bits(merged(Ties(density=0.3)))


def test_the_grid_of_a_weave_s_own_fields() -> None:
    within = Weave(TaskArithmetic(), grid={"scale": (0.5, 1.0)})
    weave = Weave(within, grid={"pool": ("mean", "largest"), "raw": ("omit", "include")})
    expected = merged(Average(), [merged(p) for p in grid_points(weave.method, weave.grid)])
    assert bits(merged(weave)) == bits(expected)


def test_needs_are_those_of_the_points_and_the_pool() -> None:
    ties = Weave(Ties(), grid={"scale": (1, 2)})
    assert (ties.needs.reach, ties.needs.sample, ties.needs.weights) == (Reach.MODEL, True, "sum")
    assert not ties.needs.random
    assert replace(ties, pool="random").needs.random
    dare = Weave(Dare(), grid={"scale": (1, 2)})
    assert (dare.needs.random, dare.needs.reach) == (True, Reach.ELEMENT)
    assert Weave(Dare(), grid={"rescale": ("none", "norm")}).needs.reach is Reach.TENSOR
    line = Weave(Interpolate(), grid={"t": (0.1, 0.2)})
    assert not line.needs.base
    assert replace(line, pool=ModelStock()).needs.base
    pooled = Weave(TaskArithmetic(), grid={"scale": (1, 2)}, pool=Ties())
    assert (pooled.needs.reach, pooled.needs.sample) == (Reach.MODEL, True)
    both = Weave(Ties(trim="tensor"), grid={"scale": (1, 2)}, pool=Ties(trim="tensor"))
    assert (both.needs.reach, both.needs.sample) == (Reach.TENSOR, True)
    last = Weave(ModelStock(), grid={"clip": (True, False)}, pool=Ties(trim="tensor"))
    assert not last.needs.sample
    with_models = Weave(TaskArithmetic(), grid={"scale": (1,)}, pool=Slerp(), raw="include")
    assert with_models.needs.models == (1, 1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"grid": {}}, "weave: grid must have a field with values, .* got none"),
        ({"grid": {"scale": ()}}, "weave: grid must have a field with values, .* got 0"),
        ({"grid": {"scale": [1] * (MOST_POINTS + 1)}}, f"at most {MOST_POINTS} .* got 1001"),
        ({"grid": {"densty": [1]}}, "weave: grid: ties has no field 'densty': .* 'density'"),
        ({"grid": {"density": [0.5, 2]}}, r"weave: grid: ties: density must be in \(0, 1\]"),
        ({"grid": {"trim": ["model", "tensor"]}}, "weave: some of it needs facts of each tensor"),
        ({"method": Average()}, "weave: grid: average has no field 'scale': there are none"),
        ({"pool": Interpolate()}, "weave: interpolate does not pool 10 points"),
        (
            {"method": Slerp(), "grid": {"t": [0, 1, 2]}, "pool": Slerp(), "raw": "include"},
            "weave: no number of models suits all of it",
        ),
    ],
)
def test_what_cannot_be_woven_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        Weave(**fields)


def test_values_per_model_must_fit_the_models_and_the_pool_s_the_points() -> None:
    weave = Weave(Ties(), grid={"density": ((0.1, 0.2), 0.3)})
    with pytest.raises(MergeError, match=r"^weave: ties: density has 2 values for 3 models"):
        merged(weave)
    pool = Ties(density=(0.1, 0.2, 0.3))
    pooled = Weave(TaskArithmetic(), grid={"scale": (1, 2)}, pool=pool)
    with pytest.raises(MergeError, match=r"^weave: pool: ties: density has 3 values for 2 models"):
        merged(pooled)
    with_models = replace(pooled, raw="include")
    merged(with_models, MODELS[:1])
    with pytest.raises(MergeError, match=r"^weave: pool: ties: density has 3 values for 5 models"):
        merged(with_models)


def test_a_tensor_that_some_models_lack_is_woven_over_the_others(tmp_path: Path) -> None:
    weave = Weave(Ties(trim="tensor"), grid={"density": ((0.1, 0.2, 0.3), 0.5)}, pool=Median())
    lacking = dict(list(MODELS[1].items())[1:])
    paths = [tmp_path / f"{i}.safetensors" for i in range(4)]
    for path, state in zip(paths, (BASE, MODELS[0], lacking, MODELS[2]), strict=True):
        save_file(state, path)
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, paths[1:], weave, base=paths[0], missing="present")
    (first, *_) = BASE
    some = weave.among([0, 2])
    assert some == replace(weave, grid={"density": ((0.1, 0.3), 0.5)})
    expected = merged(some, [MODELS[0], MODELS[2]])[first]
    assert torch.equal(load_file(out)[first], expected)


@pytest.mark.parametrize(
    "weave",
    [
        Weave(Ties(), grid={"density": (0.05, 0.3), "scale": (0.5, 1.0)}, pool=Ties(density=0.3)),
        Weave(
            Dare(rescale="norm"),
            grid={"density": (0.2, 0.6)},
            pool=Ties(density=0.3, trim="tensor"),
            raw="include",
        ),
        Weave(TaskArithmetic(), grid={"scale": (0.2, 0.7)}, pool=Dare(density=0.5)),
        Weave(Ties(), grid={"density": (0.05, 0.3)}, pool="random", raw="include"),
        Weave(Ties(), grid={"density": (0.05, 0.3)}, pool="largest"),
    ],
    ids=str,
)
def test_neither_slices_nor_samples_nor_files_show(weave: Weave, tmp_path: Path) -> None:
    base, models = smooth([(3 * SEGMENT + 5,), (150, 41), (SEGMENT,), (2,)], 2, 7, torch.bfloat16)
    expected = bits(sp.merge(models, weave, base=base, workers=1, seed=2))
    with cut(BLOCK=SEGMENT, CHUNK=SEGMENT, ARENA=24 * SEGMENT, UNSAMPLED=2**13):
        found = sp.merge(models, weave, base=base, workers=3, memory="64MiB", seed=2)
        assert bits(found) == expected
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, state in zip(paths, (base, *models), strict=True):
        save_file(state, path)
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, paths[1:], weave, base=paths[0], memory="1MiB", workers=1, seed=2)
    assert bits(load_file(out)) == expected
    assert verify(out, recompute=True).problems == ()


def test_the_manifest_tells_what_was_settled_at_each_point(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, state in zip(paths, (BASE, *MODELS[:2]), strict=True):
        save_file(state, path)
    weave = Weave(
        Ties(), grid={"scale": (0.5, 1.0), "density": (0.1, 0.5)}, pool=Ties(density=0.25)
    )
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, paths[1:], weave, base=paths[0])
    manifest = json.loads((tmp_path / "out.safetensors.merge.json").read_text())
    assert manifest["methods"] == [repr(weave)]
    assert eval(manifest["methods"][0]) == weave
    (settled,) = manifest["settled"]
    points = settled["points"]
    assert [point["density"] for point in points] == [0.1, 0.5]
    total = sum(t.numel() for t in BASE.values())
    for point in points:
        assert point["kept"] == [int(point["density"] * total)] * 2
        assert point["total"] == total
    assert len(settled["pool"]["kept"]) == 4


def test_advice_is_that_of_the_first_point_that_has_any() -> None:
    weave = Weave(TaskArithmetic(), grid={"scale": (0.1, 1, 2)})
    (said,) = weave.advice((1.0, 1.0))
    assert said.startswith("at scale 1.0: scale × sum of weights is 2")
    assert Weave(Ties(), grid={"scale": (3,)}).advice((1.0, 1.0)) == ()


def test_weaving_a_method_for_matrices_weaves_its_rest_for_the_others() -> None:
    base, models = smooth([(12, 9), (33,)], 3, 0)
    grid = {"scale": (0.5, 1.0, 3.0)}
    points = [sp.merge(models, IsoC(scale=scale), base=base) for scale in grid["scale"]]
    woven = sp.merge(models, Weave(IsoC(), grid), base=base)
    for name, tensor in woven.items():
        mean = torch.stack([point[name].double() for point in points]).mean(dim=0)
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-5, atol=1e-6)
    same = sp.merge(models, Weave(Cart(), {"scale": (0.5, 1.5)}))
    plain = sp.merge(models, Cart(scale=1.0))
    torch.testing.assert_close(same, plain, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_woven_for_some_tensors_only_is_refused() -> None:
    _, models = smooth([(12, 9), (3, 2, 3, 3)], 3, 0)
    with pytest.raises(FieldError, match="omit them"):
        sp.merge(models, Weave(Cart(), {"scale": (0.5, 1.5)}, raw="include"))
