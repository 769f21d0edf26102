"""Every method against its slow reference: float64 NumPy, written from the paper.

The result may differ from the reference by roundings of the arithmetic (float32, or float64 for
float64 models) and by the one rounding into the stored dtype. Elements are left out only where a
rounding decides what happens to them, which each reference says itself.
"""

import dataclasses
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import stockpot as sp
from stockpot.core import SEGMENT, Method
from stockpot.methods import (
    METHODS,
    Cart,
    Consensus,
    Dare,
    IsoC,
    IsoCts,
    ModelStock,
    Slerp,
    Ties,
    TsvM,
    Weave,
)
from stockpot.methods.grids import grid_points
from stockpot.testing.cases import Case, State, on_grid, smooth
from stockpot.values.fields import field_specs, kebab_name

from ..cases import cases, cut
from . import consensus, dare, model_stock, slerp, ties, weave
from .arrays import Array
from .matrices import Grain, is_taken

SPECTRAL = (Cart, TsvM, IsoC, IsoCts)
AROUND_BASE = (TsvM, IsoC, IsoCts)
"""Those to whom it matters in what the weights are stored."""
UNSURE = (Slerp, Dare, Consensus, Weave, *SPECTRAL)
"""Methods whose tensors may be left out whole: at a line, or at a cut between equal values."""


def reference_of(cls: type[Method]) -> Callable[..., dict[str, Array]]:
    return import_module(f"..{kebab_name(cls).replace('-', '_')}", __name__).merge


def doubles(state: State) -> dict[str, Array]:
    return {name: tensor.double().numpy() for name, tensor in state.items()}


def arguments(case: Case, seed: int) -> tuple[list[dict[str, Array]], Any, list[float], int]:
    models = [doubles(model) for model in case.models]
    base = None if case.base is None else doubles(case.base)
    return models, base, case.weights or [1.0] * len(models), seed


def compare(case: Case, seed: int = 0, most_left_out: float = 0.0) -> State:
    """Merge, and hold the result to the reference; returns the merged state."""
    method = case.method
    fields = {spec.name: getattr(method, spec.name) for spec in field_specs(type(method))}
    if method.needs.statistics:
        fields["statistics"] = [doubles(one) for one in case.of_data]
    if isinstance(method, AROUND_BASE):
        fields["grains"] = {name: grains_of(case, name) for name in case.models[0]}
    models, base, weights, seed = arguments(case, seed)
    expected = reference_of(type(method))(models, base, weights, seed, **fields)
    merged = case.merge(seed=seed)
    assert list(merged) == list(expected)
    left_out = 0
    for name, found in merged.items():
        sure = ~doubtful(method, models, base, weights, seed, name)
        magnified = sensitivity(case, models, base, weights, name)
        sure &= magnified < 1e4
        left_out += int((~sure).sum())
        rows = [model[name] for model in models] + ([base[name]] if base else [])
        if type(method) in SPECTRAL:  # an element may be smaller than the roundings of its matrix
            rows = [np.full_like(row, np.abs(row).max(initial=0)) for row in rows]
        amplified = amplification(method, weights) * min(magnified, 1e4)
        _hold(found, expected[name], sure, amplified, rows)
    assert left_out <= most_left_out * sum(t.numel() for t in merged.values())
    return merged


def doubtful(
    method: Method,
    models: list[dict[str, Array]],
    base: dict[str, Array],
    weights: list[float],
    seed: int,
    name: str,
) -> Array:
    """True for the elements that a rounding decides."""
    nowhere = np.zeros(models[0][name].shape, bool)
    match method:
        case Slerp(lerp_above=line):
            return nowhere | slerp.is_doubtful(models, name, line)
        case ModelStock(clip=False):
            return nowhere | model_stock.is_doubtful(models, base, name)
        case Ties(vote="mass"):
            trimmed = ties.trimmed_deltas(models, base, method.density, method.trim)
            weighted = [w * t[name] for w, t in zip(weights, trimmed, strict=True)]
            return _uneven(weighted)
        case Dare(merge="ties"):
            weighted = dare.sparse_deltas(
                models, base, weights, seed, name, method.density, method.rescale
            )
            return _uneven(weighted)
        case Consensus():
            return nowhere | consensus.is_doubtful(models, base, weights, name, method.ratio)
        case Weave():
            points = grid_points(method.method, method.grid)
            found = (doubtful(p, models, base, weights, seed, name) for p in points)
            unsure = np.logical_or.reduce([nowhere, *found])
            if method.pool != "largest":
                return unsure
            merges = weave.candidates(
                models,
                base,
                weights,
                seed,
                method=method.method,
                grid=method.grid,
                raw=method.raw,
            )
            return unsure | weave.is_doubtful(merges, base[name], name)
        case _:
            return nowhere


def _uneven(weighted: list[Array]) -> Array:
    """All but even votes, other than the exactly even ones: those go to +, by rule."""
    exact = [w * 2**20 == np.round(w * 2**20) for w in weighted]
    is_exact = np.logical_and.reduce(exact)
    return ties.doubtful_votes(weighted) & ~is_exact


def grains_of(case: Case, name: str) -> list[Grain]:
    """Of a tensor's dtype in the models, then in the base."""
    states = [*case.models, *([case.base] if case.base is not None else [])]
    infos = [torch.finfo(state[name].dtype) for state in states]
    return [(info.eps, info.smallest_normal, info.bits < 32) for info in infos]


def sensitivity(
    case: Case, models: list[dict[str, Array]], base: Any, weights: list[float], name: str
) -> float:
    """By how much a decomposition magnifies roundings of a matrix; 1 for everything else."""
    method, first = case.method, models[0][name]
    if type(method) not in SPECTRAL or not is_taken(first, getattr(method, "conv", "average")):
        return 1.0
    flat = [
        array.reshape(len(array), first[0].size if len(first) else 0)
        for array in (*(m[name] for m in models), base[name] if base else np.zeros_like(first))
    ]
    reference = import_module(f"..{kebab_name(type(method)).replace('-', '_')}", __name__)
    more = (grains_of(case, name),) if isinstance(method, AROUND_BASE) else ()
    found = reference.sensitivity(flat[:-1], flat[-1], weights, method, *more)
    return max(first.shape) ** 0.5 * found


def amplification(method: Method, weights: list[float]) -> float:
    """By how much coefficients may magnify a rounding of the inputs."""
    if isinstance(method, Weave):
        points = grid_points(method.method, method.grid)
        return 2 * max(amplification(point, weights) for point in points)
    values = [getattr(method, spec.name) for spec in field_specs(type(method))]
    numbers = [abs(v) for v in values if isinstance(v, float)]
    smallest = min([1.0, *np.ravel(getattr(method, "density", 1.0))])
    few = min([1.0, *[abs(w) for w in weights if w]])
    spread = sum(map(abs, weights)) / few
    return 8 * (1 + max(numbers, default=0)) * (1 + spread) / smallest


def _hold(
    found: torch.Tensor, expected: Array, sure: Array, amplified: float, rows: list[Array]
) -> None:
    if not found.numel():
        assert tuple(found.shape) == expected.shape
        return
    working = torch.finfo(torch.promote_types(found.dtype, torch.float32)).eps
    stored = torch.finfo(found.dtype)
    largest = np.maximum.reduce([np.abs(row) for row in rows]) + np.abs(expected)
    bound = amplified * working * largest
    bound = bound + stored.eps / 2 * (np.abs(expected) + bound) + stored.smallest_normal
    missed = np.abs(found.double().numpy() - expected) > bound
    assert not (missed & sure).any(), f"{found}\n{expected}\n{missed}"


@pytest.mark.parametrize("cls", METHODS, ids=kebab_name)
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=50)
def test_grid_values_agree(cls: type[Method], data: st.DataObject, seed: int) -> None:
    """Where many magnitudes are equal and many votes even: rules, not roundings, decide them."""
    case = data.draw(cases(cls, values=[on_grid]))
    compare(case, seed, most_left_out=1.0 if cls in UNSURE else 0.0)


@pytest.mark.parametrize("cls", METHODS, ids=kebab_name)
@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_smooth_values_agree(cls: type[Method], data: st.DataObject, seed: int) -> None:
    case = data.draw(cases(cls, values=[smooth]))
    compare(case, seed, most_left_out=1.0 if cls in UNSURE else 0.0)


@pytest.mark.parametrize("cls", METHODS, ids=kebab_name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_larger_tensors_agree_but_for_hardly_any_element(
    cls: type[Method], dtype: torch.dtype
) -> None:
    count = 3 if cls().needs.models[1] is None else 2
    base, models = smooth([(300, 70), (999,)], count, 11, dtype)
    method = cls()
    weights = [0.5, 1.0, 0.75][:count] if method.needs.weights != "unused" else None
    case = Case(method, models, base if method.needs.base else None, weights)
    # 0.4 is no binary fraction, and differences of bfloat16 are often at it: 2 to 5 of a step
    compare(case, seed=4, most_left_out=2e-2 if cls is Consensus else 1e-3)


@pytest.mark.parametrize("trim", ["model", "tensor"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_threshold_over_slices_and_samples_is_the_reference_s(
    trim: str, dtype: torch.dtype
) -> None:
    """Tensors cut into slices by three workers, thresholds bracketed by a sample."""
    base, models = smooth([(3 * SEGMENT + 9,), (150, 41), (SEGMENT,), (2,)], 2, 8, dtype)
    case = Case(Ties(density=(0.15, 0.6), trim=trim), models, base, [1.0, 0.5])
    with cut(BLOCK=SEGMENT, CHUNK=SEGMENT, ARENA=24 * SEGMENT, UNSAMPLED=2**13):
        merged = compare(case, most_left_out=1e-3)
    assert all(torch.equal(t, merged[n]) for n, t in case.merge(memory="1MiB").items())


def test_a_threshold_over_tensors_of_different_width_is_the_reference_s() -> None:
    """float32 and float64 tensors of one model are ranked together."""
    base, models = smooth([(4000,), (SEGMENT + 1,)], 2, 8, torch.float64)
    narrow = "layers.0.weight"
    base, *models = [state | {narrow: state[narrow].float()} for state in (base, *models)]
    for flip in (False, True):
        states = [dict(reversed(s.items())) if flip else s for s in (base, *models)]
        for density in (0.01, 0.3, 0.99):
            case = Case(Ties(density=density), states[1:], states[0])
            compare(case, most_left_out=1e-3)
            with cut(UNSAMPLED=2**12):
                compare(case, most_left_out=1e-3)


def test_references_refuse_to_agree_with_anything_else() -> None:
    """The comparison itself can fail."""
    base, models = smooth([(50,)], 3, 0)
    case = Case(sp.methods.TaskArithmetic(scale=0.5), models, base, [1.0, 0.5, 0.25])
    compare(case)
    wrong = dataclasses.replace(case, weights=[1.0, 0.5, 0.2501])
    expected = reference_of(type(case.method))(*arguments(wrong, 0), scale=0.5)
    (name,) = base
    rows = [model[name] for model in arguments(case, 0)[0]]
    with pytest.raises(AssertionError):
        _hold(case.merge()[name], expected[name], np.ones(50, bool), 8 * 1.5 * 8, rows)
