"""Traits of pools: against what is known of hand-made models, and what must not change them."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.errors import FieldError, MergeError
from stockpot.studies import statistics_of
from stockpot.studies.diagnosis.forecast import Traits, traits_of
from stockpot.studies.diagnosis.forecast.traits import OF_TASK_VECTORS

SHAPES = {"stem.weight": (24, 3, 3, 3), "norm.weight": (24,), "body.weight": (40, 30)}


def state(seed, scale=1.0):
    torch.manual_seed(seed)
    return {name: scale * torch.randn(shape) for name, shape in SHAPES.items()}


def moved(base, seed, far):
    return {name: base[name] + far * one for name, one in state(seed).items()}


def traits(models, base=None):
    return traits_of(statistics_of(models, base, workers=1))


def near(one: Traits, other: Traits, tolerance=1e-5):
    for name, value in asdict(one).items():
        assert value == pytest.approx(asdict(other)[name], abs=tolerance, nan_ok=True), name


def test_copies_are_alike_in_everything():
    base = state(0)
    found = traits([base, base, base], base)
    assert (found.count, found.norms, found.batch_norm) == (3.0, 1.0, 0.0)
    assert found.cosine == pytest.approx(1.0)
    assert found.cosine_layer == pytest.approx(1.0)
    assert (found.spread, found.shrink, found.scope, found.outlier) == (0.0, 0.0, 0.0, 1.0)
    assert found.moved == -6.0


def test_unrelated_models_have_no_angle_and_shrink_by_the_root_of_their_number_in_each_layer():
    found = traits([state(seed) for seed in range(4)])
    assert found.cosine == pytest.approx(0.0, abs=0.05)
    assert found.spread == pytest.approx(math.sqrt(1 - 1 / 4), abs=0.02)
    assert found.shrink == pytest.approx(-2 * math.log(4) / 2, abs=0.1)
    assert not found.based
    assert all(math.isnan(asdict(found)[name]) for name in OF_TASK_VECTORS)


def test_against_a_slow_reference_of_flat_vectors():
    base = state(0)
    models = [moved(base, seed, 0.1 * seed) for seed in (1, 2, 3)]
    found = traits(models, base)
    layers = [name for name in SHAPES if name != "norm.weight"]

    def flat(one, name=None):
        names = layers if name is None else [name]
        return np.concatenate([one[each].double().numpy().ravel() for each in names])

    def angle(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    whole, start = [flat(one) for one in models], flat(base)
    tasks = [one - start for one in whole]
    pairs = [(0, 1), (0, 2), (1, 2)]
    mean = sum(whole) / 3
    apart = [np.sum((one - mean) ** 2) for one in whole]
    norms = [np.linalg.norm(one) for one in whole]
    assert found.cosine == pytest.approx(np.mean([angle(whole[i], whole[j]) for i, j in pairs]))
    assert found.cosine_pair == pytest.approx(min(angle(whole[i], whole[j]) for i, j in pairs))
    assert found.task_cosine == pytest.approx(
        np.mean([angle(tasks[i], tasks[j]) for i, j in pairs]), abs=1e-5
    )
    assert found.spread == pytest.approx(math.sqrt(sum(apart) / sum(np.square(norms))), abs=1e-6)
    assert found.outlier == pytest.approx(max(apart) / np.median(apart), rel=1e-4)
    assert found.lengths == pytest.approx(math.log(max(norms) / min(norms)), abs=1e-6)
    moves = math.sqrt(sum(one @ one for one in tasks) / 3 / (start @ start))
    assert found.moved == pytest.approx(math.log10(moves), abs=1e-5)
    lengths = [np.linalg.norm(one) for one in tasks]
    assert found.task_lengths == pytest.approx(math.log(max(lengths) / min(lengths)), abs=1e-5)
    signs = [np.sign(one) for one in tasks]
    agree = np.mean([np.mean(signs[i] == signs[j]) for i, j in pairs])
    assert found.agree == pytest.approx(agree, abs=1e-6)
    votes = sum(signs)
    majority = np.mean([(3 + abs(votes)) / 6])
    assert found.majority == pytest.approx(majority, abs=1e-6)
    stds = [[flat(one, name).std() for one in models] for name in layers]
    scopes = [math.log(max(one) / min(one)) for one in stds]
    assert found.scope == pytest.approx(np.mean(scopes), abs=1e-5)
    assert found.scope_layer == pytest.approx(max(scopes), abs=1e-5)
    assert found.depth == 1.0
    assert found.size == pytest.approx(math.log10(24 * 27 + 1200))


@settings(max_examples=20, deadline=None)
@given(
    order=st.permutations(range(4)),
    scale=st.sampled_from([0.125, 0.5, 4.0, 64.0]),
    based=st.booleans(),
)
def test_neither_the_order_of_models_nor_a_common_factor_changes_them(order, scale, based):
    base = state(0)
    models = [moved(base, seed, 0.2 * seed) for seed in (1, 2, 3, 4)]
    before = traits(models, base if based else None)
    changed = [{name: scale * one for name, one in models[k].items()} for k in order]
    there = {name: scale * one for name, one in base.items()} if based else None
    near(traits(changed, there), before)


def test_a_frozen_layer_has_no_say_but_counts():
    base = state(0)
    models = [moved(base, seed, 0.3) for seed in (1, 2)]
    frozen = [{**one, "table.weight": torch.ones(50, 50)} for one in models]
    found, without = (
        traits(frozen, {**base, "table.weight": torch.ones(50, 50)}),
        traits(models, base),
    )
    assert found.cosine == pytest.approx(without.cosine)
    assert found.moved == pytest.approx(without.moved)
    assert found.depth == pytest.approx(math.log2(3))


def test_statistics_of_batches_are_told():
    models = [{**state(seed), "norm.running_var": torch.full((24,), 1.0 + seed)} for seed in (0, 1)]
    found = traits(models)
    assert found.batch_norm == 1.0
    assert found.batches == pytest.approx(0.5 / math.sqrt(2.5), abs=1e-6)


def test_an_outlier_stands_out():
    base = state(0)
    like = [moved(base, seed, 0.1) for seed in (1, 2, 3)]
    assert traits(like, base).outlier < 1.5
    assert traits([*like, state(9)], base).outlier > 3


def test_without_base_is_what_no_base_gives():
    base = state(0)
    models = [moved(base, seed, 0.3) for seed in (1, 2, 3)]
    near(traits(models, base).without_base(), traits(models))


def test_zeros_and_constants_are_finite():
    models = [{"a.weight": torch.zeros(4, 4)}, {"a.weight": torch.ones(4, 4)}]
    found = traits(models, {"a.weight": torch.zeros(4, 4)})
    assert all(map(math.isfinite, asdict(found).values()))


def test_a_base_that_lacks_a_layer_is_none():
    models = [state(1), state(2)]
    assert not traits(models, {"stem.weight": state(0)["stem.weight"]}).based


def test_refusals():
    with pytest.raises(FieldError, match="two models or more"):
        traits([state(0)])
    with pytest.raises(MergeError, match="no layer"):
        traits([{"norm.weight": torch.ones(3)}] * 2)
