"""Every finding of a diagnosis on trained networks: where it must be made, and where not."""

import copy
import json
import math
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from stockpot.cli.app import execute
from stockpot.errors import FieldError, MergeError
from stockpot.studies import diagnose, statistics_of
from stockpot.studies.diagnosis.comparing.kinship import Kinship, grouped
from stockpot.studies.diagnosis.forecast import Forecast, traits_of

from .pools import SHAPE, fresh, permuted, pool, rescaled, stranger, trained

NETWORK = {"name": "mlp", "width": 48, "depth": 2}
LAYERS = ("body.1.weight", "body.3.weight", "head.weight")


@pytest.fixture(scope="module")
def made():
    return pool()


@pytest.fixture(scope="module")
def other():
    return stranger()


def by_name(found):
    return {one.name: one for one in found.models}


def test_fine_tunes_of_one_start_merge(made):
    base, models = made
    for given_base in (None, base):
        found = diagnose(models, given_base)
        assert (found.mergeable, found.same_origin) == (True, True)
        assert found.recommended in {one.method for one in found.prospects if one.fits}
        assert not any(one.outlier for one in found.models)
        assert not found.copies
        assert found.architecture.same
        assert all(pair.same and pair.correlation > 0.5 for pair in (*found.pairs, *found.bases))
        assert "begin with" in found.verdict
        assert any(step.command.startswith("stockpot merge") for step in found.steps)
    assert len(found.bases) == 3
    assert {one.method for one in found.prospects if "--base" in one.reason} == set()
    assert "ties" in {one.method for one in diagnose(models).prospects if "--base" in one.reason}


def test_correlations_and_distances_are_those_of_numpy(made, other):
    base, models = made
    every = [*models, other]
    found = diagnose(every, base)
    flat = {
        name: np.stack([state[name].double().numpy().ravel() for state in every]) for name in LAYERS
    }
    assert {one.tensor for one in found.layers} == set(LAYERS)
    for one in found.layers:
        assert np.allclose(one.correlations, np.corrcoef(flat[one.tensor]), atol=1e-5)
        start = base[one.tensor].double().numpy().ravel()
        wanted = [np.corrcoef(row, start)[0, 1] for row in flat[one.tensor]]
        assert np.allclose(one.to_base, wanted, atol=1e-5)
    for k, model in enumerate(found.models):
        ratios = []
        for name in LAYERS:
            rows = flat[name]
            others = [j for j in range(4) if j != k]
            away = np.linalg.norm(rows[k] - rows[others].mean(0))
            spread = [
                np.linalg.norm(rows[j] - rows[[i for i in others if i != j]].mean(0))
                for j in others
            ]
            ratios.append(away / median(spread) / math.sqrt((1 + 1 / 3) / (1 + 1 / 2)))
        assert math.isclose(model.far, median(ratios), rel_tol=1e-4)
        stds = {name: flat[name].std(1) for name in LAYERS}
        start = {n: base[n].double().numpy().std() for n in LAYERS}
        scales = [stds[n][k] / median([*stds[n], start[n]]) for n in LAYERS]
        assert math.isclose(model.scale, median(scales), rel_tol=1e-5)


def test_models_of_several_starts_do_not_merge_and_the_odd_one_is_named(made, other):
    base, models = made
    found = diagnose([*models, other])
    assert (found.mergeable, found.same_origin, found.recommended) == (False, False, None)
    assert [one.outlier for one in found.models] == [False, False, False, True]
    assert [one.origin for one in found.models] == [1, 1, 1, 2]
    assert not any(one.fits for one in found.prospects)
    reasons = {one.method: one.reason for one in found.prospects}
    assert reasons["average"] == "will fail: different starts"
    assert "majority" in reasons["median"]
    assert "model 4 spoils it" in found.verdict
    assert any("Leave model 4 out" in step.said for step in found.steps)
    assert not diagnose([models[0], other]).same_origin
    assert [one.outlier for one in diagnose([models[0], other]).models] == [False, False]
    with_base = diagnose([models[0], other], base)
    assert [one.outlier for one in with_base.models] == [False, True]
    assert not any("The base is not" in one for one in with_base.reasons)


def test_a_shared_table_is_no_evidence_of_an_origin(made, other):
    _, models = made
    table = {
        name: torch.sin(torch.arange(64.0)[:, None] * torch.arange(1, 41) * scale)
        for name, scale in (("positions.weight", 1), ("table.weight", 2), ("filter.weight", 3))
    }
    found = diagnose([models[0] | table, other | table])
    assert not found.same_origin
    assert [one.constant for one in found.layers].count(True) == 3
    assert found.pairs[0].frozen == 3
    assert diagnose([models[0] | table, models[1] | table]).same_origin


def test_norms_and_biases_are_no_evidence_of_an_origin(made, other):
    _, models = made
    norms = {f"norm.{k}.weight": torch.ones(500) + 0.01 * torch.randn(500) for k in range(9)}
    norms |= {f"norm.{k}.bias": 0.5 + torch.zeros(500) for k in range(9)}
    statistics = {"bn.running_mean": torch.zeros(500), "bn.running_var": torch.ones(500)}
    found = diagnose([models[0] | norms | statistics, other | norms | statistics])
    assert not found.same_origin
    assert {one.tensor for one in found.layers} == set(LAYERS)


def test_layers_that_lean_the_same_way_are_no_evidence_either():
    generator = torch.Generator().manual_seed(0)
    a, b = ({"w.weight": 1 + 0.1 * torch.randn(64, 64, generator=generator)} for _ in range(2))
    cosine = torch.nn.functional.cosine_similarity(a["w.weight"].ravel(), b["w.weight"].ravel(), 0)
    assert cosine > 0.98
    assert not diagnose([a, b]).same_origin


def test_a_frozen_body_is_one_start_with_heads_of_their_own(made):
    base, _ = made
    body = tuple(name for name in base if not name.startswith("head"))
    models = []
    for seed in (1, 2):
        start = base | {n: t for n, t in fresh(20 + seed).items() if n.startswith("head")}
        models.append(trained(start, seed, steps=2, frozen=body))
    found = diagnose(models)
    assert (found.same_origin, found.mergeable) == (True, True)
    assert found.pairs[0].unlike == ("head.weight",)
    assert "a frozen body" in found.pairs[0].said
    assert any("the ensemble of their logits" in one for one in found.reasons)
    assert not any(one.forecast for one in found.prospects)
    assert any("'head.weight' has nothing in common" in one for one in found.reasons)
    partly = [trained(base, seed, frozen=("body.1.weight", "body.1.bias")) for seed in (1, 2)]
    assert diagnose(partly).same_origin
    assert diagnose(partly).pairs[0].frozen == 1


def test_copies_are_named_and_fine_tunes_are_not(made):
    base, models = made
    found = diagnose([models[0], models[1], models[0], base], base)
    assert {(one.one, one.other, one.said) for one in found.copies} == {
        ("model 1", "model 3", "the same weights"),
        ("model 4", "the base", "the same weights"),
    }
    assert all(one.distance == 0 for one in found.copies)
    assert any("count twice" in step.said for step in found.steps)
    assert any("only dilutes" in step.said for step in found.steps)
    rounded = {name: one.bfloat16() for name, one in models[0].items()}
    (copy_,) = diagnose([models[0], rounded]).copies
    assert "rounded" in copy_.said
    assert diagnose([models[0], {n: t.bfloat16() for n, t in models[1].items()}]).copies == ()
    near = trained(models[0], 9, steps=1, lr=1e-5)
    assert "nearly the same" in diagnose([models[0], near, *models[1:]]).copies[0].said


def test_a_copy_of_the_base_is_told_as_such_when_both_are_files(made, tmp_path):
    """The base is called by what it is, not by its path."""
    base, models = made
    files = {"base": base, "a": models[0], "b": models[1]}
    for name, one in files.items():
        save_file(one, tmp_path / f"{name}.safetensors")
    start, first, second = (tmp_path / f"{name}.safetensors" for name in files)
    found = diagnose([first, second, start], start)
    assert [(one.one, one.other) for one in found.copies] == [("base", "the base")]
    said = [step.said for step in found.steps]
    assert any("Leave base out" in one and "dilutes" in one for one in said)
    assert not any("count twice" in one for one in said)
    found = diagnose([first, start], start)  # nothing would be left to merge
    said = [step.said for step in found.steps]
    assert any("base is the base itself" in one for one in said)
    assert not any(one.startswith("Leave") for one in said)


def test_copies_but_for_rounding_count_nearly_twice(made):
    _, models = made
    rounded = {name: one.bfloat16() for name, one in models[0].items()}
    found = diagnose([*models, rounded])
    assert any("model 1 and model 4 count nearly twice" in step.said for step in found.steps)


def test_a_base_that_lacks_their_tensors_is_not_asked_for_again(made):
    _, models = made
    found = diagnose(models, {"x": torch.ones(3)})
    reasons = {one.method: one.reason for one in found.prospects}
    assert reasons["ties"] == "needs a base with their tensors"
    assert found.recommended == "average"


def test_of_two_models_the_one_that_is_not_of_the_base_is_named(made, other):
    base, models = made
    found = diagnose([models[0], other], base)
    assert found.models[1].why == ("does not come from the base",)
    assert not found.models[0].why


def test_copies_alone_are_one_start(made):
    found = diagnose([made[1][0]] * 3)
    assert (found.same_origin, found.mergeable) == (True, True)
    assert len(found.copies) == 3
    assert not any(one.outlier for one in found.models)


def test_one_rescaled_model_is_a_mismatch_of_scopes_and_an_outlier(made):
    _, models = made
    assert not any(one.ratio >= 1.5 for one in diagnose(models).scopes)
    odd = rescaled(models[2], 6.0)
    found = diagnose([*models[:2], odd])
    assert found.same_origin  # a factor is no other start
    assert found.mergeable  # nor are all layers of one model the larger ones
    wide = {one.tensor: one.ratio for one in found.scopes if one.ratio >= 1.5}
    assert set(wide) == {"body.1.weight", "body.3.weight"}
    assert all(5 < ratio < 7 for ratio in wide.values())
    assert any("Scopes differ" in one and "model 3" in one for one in found.reasons)
    assert [one.outlier for one in found.models] == [False, False, True]
    assert any("study scopes" in step.command for step in found.steps)


def test_a_layer_without_spread_is_told_in_words(made):
    _, models = made
    flat = models[0] | {"head.weight": torch.zeros_like(models[0]["head.weight"])}
    (said,) = [one for one in diagnose([models[1], flat]).reasons if "Scopes differ" in one]
    assert "weights of 'head.weight' are all the same in model 2, and not in model 1;" in said


def test_a_model_of_another_scale_spoils_an_average(made):
    _, models = made
    found = diagnose([*models[:2], {name: 10 * one for name, one in models[2].items()}])
    assert (found.mergeable, found.same_origin) == (False, True)
    assert 9 < found.models[2].scale < 11
    assert [one.outlier for one in found.models] == [False, False, True]
    assert any("10 times" in one and "little else" in one for one in found.reasons)
    alone = diagnose([models[0], {name: 10 * one for name, one in models[0].items()}])
    assert (alone.mergeable, [one.outlier for one in alone.models]) == (False, [False, False])


def test_factors_that_cancel_between_layers_drown_nothing():
    generator = torch.Generator().manual_seed(0)
    start = {f"{k}.weight": torch.randn(32, 32, generator=generator) for k in range(2)}
    near = {
        name: one + 0.1 * torch.randn(32, 32, generator=generator) for name, one in start.items()
    }
    odd = {"0.weight": 8 * near["0.weight"], "1.weight": near["1.weight"] / 8}
    found = diagnose([start, odd])
    assert not any("little else" in one for one in found.reasons)
    assert any(
        "little else" in one
        for one in diagnose([start, {n: 8 * t for n, t in near.items()}]).reasons
    )


def test_a_model_that_went_much_farther_is_an_outlier_and_can_still_be_merged(made):
    base, models = made
    far = trained(base, 5, steps=400, lr=0.02)
    found = diagnose([*models, far], base)
    assert found.same_origin
    assert [one.outlier for one in found.models] == [False, False, False, True]
    assert any("times as far" in one for one in by_name(found)["model 4"].why)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_damaged_model_is_named_and_the_others_are_judged(made, value):
    _, models = made
    damaged = copy.deepcopy(models[1])
    damaged["body.3.weight"][3, 4] = value
    found = diagnose([models[0], damaged, models[2]])
    assert not found.mergeable
    assert found.models[1].damaged == ("body.3.weight",)
    assert [one.outlier for one in found.models] == [False, True, False]
    assert found.same_origin  # by the other layers
    assert any("model 2 holds NaN or infinity in 'body.3.weight'" in one for one in found.reasons)
    assert not any(one.damaged for one in diagnose(models).models)


def test_a_damaged_base_is_named(made):
    base, models = made
    damaged = copy.deepcopy(base)
    damaged["body.3.weight"][0, 0] = math.nan
    found = diagnose(models, damaged)
    assert any("The base holds NaN or infinity in 'body.3.weight'" in r for r in found.reasons)
    assert not any(one.damaged for one in found.models)
    reasons = {one.method: one.reason for one in found.prospects}
    assert "NaN" in reasons["ties"]
    assert reasons["average"] in ("", "advised")


def test_models_of_different_tensors_are_diagnosed_by_what_they_share(made):
    _, models = made
    wider = dict(models[1])
    wider["head.weight"], wider["head.bias"] = torch.randn(12, 48), torch.zeros(12)
    wider["extra"] = torch.ones(3)
    found = diagnose([models[0], wider, models[2]])
    assert (found.mergeable, found.same_origin) == (False, True)
    kinds = {one.tensor: (one.kind, one.models) for one in found.architecture.differences}
    assert kinds == {
        "head.weight": ("shape", ("model 2",)),
        "head.bias": ("shape", ("model 2",)),
        "extra": ("missing", ("model 1", "model 3")),
    }
    most = sum(one.numel() for one in wider.values())
    same = sum(one.numel() for name, one in wider.items() if name.startswith("body"))
    assert math.isclose(found.architecture.shared, same / most)
    assert "'head.weight' is (10, 48) in model 1 but (12, 48) in model 2" in found.reasons[0]
    command = next(step.command for step in found.steps if "--copy" in step.command)
    assert "--copy 'head.weight=model 1'" in command
    assert "--copy 'extra=model 2'" in command


def test_nothing_in_common_is_said_too(made):
    _, models = made
    found = diagnose([models[0], {"w": torch.ones(3, 3)}])
    assert (found.mergeable, found.same_origin, found.task_vectors) == (False, False, None)
    assert found.architecture.shared == 0
    assert any("They share 0.0%" in one for one in found.reasons)
    vectors = {"norm.weight": torch.ones(200)}
    found = diagnose([vectors, {name: one + 0.01 for name, one in vectors.items()}])
    assert not found.same_origin
    assert any("No layer can be compared" in one for one in found.reasons)
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_base_that_is_not_theirs_is_told(made, other):
    _, models = made
    found = diagnose(models, other)
    assert (found.same_origin, found.mergeable) == (True, True)
    assert any("The base is not what" in one for one in found.reasons)
    reasons = {one.method: one.reason for one in found.prospects}
    assert reasons["ties"] == "will fail: not their base"
    assert reasons["average"] in ("", "advised")
    assert not any("--base" in step.command for step in found.steps)


def test_a_base_that_lacks_a_tensor_is_told(made):
    base, models = made
    short = {name: one for name, one in base.items() if not name.startswith("head")}
    found = diagnose(models, short)
    assert found.mergeable
    assert found.architecture.lacking == ("head.weight", "head.bias")
    assert any("The base lacks 'head.weight'" in one for one in found.reasons)
    assert found.task_vectors.centre == "base"
    assert {one.method for one in found.prospects if one.method == "ties" and one.fits}
    most = {name: one for name, one in base.items() if name.startswith("head")}
    without = diagnose(models, most)
    assert without.task_vectors.centre == "mean"
    assert {one.reason for one in without.prospects if one.method == "ties"} == {
        "needs a base with their tensors"
    }


def test_names_behind_a_prefix_are_told(made):
    """As where one checkpoint was saved with its head and the other without."""
    base, models = made
    bare = {name: one for name, one in base.items() if not name.startswith("head")}
    headed = [{f"net.{n}" if n in bare else n: t for n, t in one.items()} for one in models]
    matched = diagnose([headed[0], bare])
    assert matched.architecture.renamed == ()
    assert any("without 'net.' before them. They are matched." in n for _, n in matched.facts)
    other = {f"model.{n}": one for n, one in bare.items()}
    found = diagnose([headed[0], other])
    assert not found.mergeable
    (one,) = found.architecture.renamed
    assert (one.one, one.other, one.tensors) == ("model 1", "model 2", len(bare))
    assert one.said == (
        f"model 2 holds {len(bare)} tensors of model 1 under other names: 'model.' for 'net.'."
    )
    assert one.said in found.reasons
    assert any("Save model 2 again" in step.said for step in found.steps)
    with_base = diagnose(headed, other)
    assert with_base.mergeable
    assert with_base.architecture.renamed[0].other == "the base"
    assert any("Save the base again" in step.said for step in with_base.steps)
    assert diagnose(models, base).architecture.renamed == ()


def test_units_in_another_order_are_another_start_to_weights(made):
    _, models = made
    found = diagnose([models[0], permuted(models[1])])
    assert not found.same_origin
    assert any("permuted" in one for one in found.reasons)


def test_batch_norm_is_pointed_at(made):
    _, models = made
    assert not any("batch" in one for one in diagnose(models).reasons)
    bn = {"bn.running_mean": torch.zeros(48), "bn.running_var": torch.ones(48)}
    found = diagnose([one | bn for one in models])
    assert found.architecture.batch_norm == ("bn",)
    assert any("statistics of batches: 1" in one for one in found.reasons)
    assert any("reestimate_batch_norm" in step.said for step in found.steps)


def test_task_vectors_that_pull_against_each_other_are_told(made):
    base, models = made
    away = {name: 2 * base[name] - one for name, one in models[0].items()}
    found = diagnose([models[0], away], base)
    assert found.task_vectors.cosine < -0.99
    assert found.task_vectors.kept < 1e-3
    assert (found.mergeable, found.recommended) == (False, None)
    (said,) = [one for one in found.reasons if "opposite" in one]
    assert said.startswith("The task vectors of model 1 and model 2 are opposite (cosine -1.000)")
    assert said.endswith("keeps less than 0.1% of the squared length of task vectors.")
    reasons = {one.method: one.reason for one in found.prospects}
    assert reasons["average"] == reasons["ties"] == "would cancel: opposite task vectors"
    commands = [step.command for step in found.steps]
    assert any("task-arithmetic 'model 1' 'model 2' --weights 1,-1" in one for one in commands)
    assert any("Leave one of model 1 and model 2 out" in step.said for step in found.steps)
    assert not any("opposite" in one for one in diagnose(models, base).reasons)
    half = {name: base[name] - 1.5 * (one - base[name]) for name, one in models[0].items()}
    mixed = {name: one + models[1][name] - base[name] for name, one in half.items()}
    found = diagnose([models[0], mixed], base)
    assert -0.9 < found.task_vectors.lowest < -0.05
    assert found.mergeable
    said = f"the lowest cosine is {found.task_vectors.lowest:.3f}, of model 1 and model 2."
    assert any("pull against each other" in one and said in one for one in found.reasons)


def test_a_few_batches_tell_losses_gradients_and_a_barrier(made, other):
    base, models = made
    near = diagnose(models, base, network=NETWORK, data="digits").gradients
    assert near.barrier < 0.1
    assert near.mean.accuracy > 0.85
    assert near.data == "digits"
    assert json.loads(near.network) == NETWORK
    far = diagnose([models[0], other], network=NETWORK, data="digits")
    assert far.gradients.barrier > 0.2
    assert any("the plain average has a loss" in one for one in far.reasons)


def test_a_poor_forecast_advises_against_unless_batches_show_otherwise(made, monkeypatch):
    base, models = made
    expect = Forecast.fitted().predict(traits_of(statistics_of(models, base)))
    poor = [replace(one, quality=0.3, low=0.1, high=0.5) for one in expect]
    monkeypatch.setattr(Forecast, "predict", lambda *_: tuple(poor))
    found = diagnose(models, base)
    assert (found.mergeable, found.same_origin, found.recommended) == (False, True, None)
    assert "expected to reach only 30% [10%, 50%]" in found.reasons[0]
    assert not any(one.fits for one in found.prospects)
    assert diagnose(models, base, network=NETWORK, data="digits").mergeable


def test_the_simplest_of_the_best_forecasts_is_advised(made, monkeypatch):
    base, models = made
    expect = Forecast.fitted().predict(traits_of(statistics_of(models, base)))
    for best, wanted in ((1.0, "average"), (1.2, "ties")):
        told = [replace(o, quality=best if o.method == "ties" else 0.99) for o in expect]
        monkeypatch.setattr(Forecast, "predict", lambda *_, told=told: tuple(told))
        found = diagnose(models, base)
        assert found.recommended == wanted
        assert [one.method for one in found.prospects if one.reason == "advised"] == [wanted]
        command = next(s.command for s in found.steps if s.command.startswith("stockpot merge"))
        assert ("--base" in command) == (wanted == "ties")


def test_gradients_are_those_of_a_plain_loop(made):
    from stockpot.data import load, split
    from stockpot.networks import build

    _, models = made
    found = diagnose(models, network=NETWORK, data="digits").gradients
    data = split(load("digits"), seed=0).selection
    assert found.samples == min(256, len(data))
    rows = []
    for state, score in zip(models, found.models, strict=True):
        network = build("mlp", width=48, depth=2, **SHAPE)
        network.load_state_dict(state)
        logits = network(data.images)
        loss = torch.nn.functional.cross_entropy(logits, data.labels)
        loss.backward()
        rows.append(torch.cat([p.grad.ravel() for p in network.parameters()]).double().numpy())
        assert math.isclose(score.loss, loss.item(), rel_tol=1e-4)
        assert math.isclose(score.accuracy, (logits.argmax(1) == data.labels).double().mean())
        assert math.isclose(score.gradient, np.linalg.norm(rows[-1]), rel_tol=1e-3)
    cosines = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rows] for a in rows]
    assert np.allclose(found.cosines, cosines, atol=1e-3)
    mean = build("mlp", width=48, depth=2, **SHAPE)
    mean.load_state_dict({n: torch.stack([m[n] for m in models]).mean(0) for n in models[0]})
    loss = torch.nn.functional.cross_entropy(mean(data.images), data.labels)
    loss.backward()
    assert math.isclose(found.mean.loss, loss.item(), rel_tol=1e-4)
    wanted = loss.item() - np.mean([one.loss for one in found.models])
    assert math.isclose(found.barrier, wanted, abs_tol=1e-4)
    slope = torch.cat([p.grad.ravel() for p in mean.parameters()]).double().numpy()
    middle = torch.cat([p.detach().ravel() for p in mean.parameters()]).double().numpy()
    for state, found_slope in zip(models, found.slopes, strict=True):
        own = torch.cat([state[n].ravel() for n, _ in mean.named_parameters()]).double().numpy()
        assert math.isclose(found_slope, slope @ (own - middle), rel_tol=1e-2, abs_tol=1e-4)


def test_the_budget_is_kept_or_refused(made):
    _, models = made
    with pytest.raises(MergeError, match="memory is"):
        diagnose(models, memory="64KiB")
    big = [{"w.weight": torch.randn(8, 8)} for _ in range(3)]
    wide = {"name": "mlp", "width": 1024, "depth": 2}  # five gradients of it do not fit
    with pytest.raises(MergeError, match="leave network and data out"):
        diagnose(big, memory="10MiB", network=wide, data="digits")
    a, b = diagnose(models, memory="8MiB", workers=1), diagnose(models, memory="1GiB", workers=2)
    assert a.as_dict() == b.as_dict()


def test_refusals(made):
    _, models = made
    with pytest.raises(FieldError, match="give two"):
        diagnose(models[:1])
    with pytest.raises(FieldError, match="network and data go together"):
        diagnose(models, network=NETWORK)
    with pytest.raises(FieldError, match="3 models and 1 names"):
        diagnose(models, names=["a"])


def test_formats_and_dtypes_through_the_usual_reader(made, tmp_path):
    _, models = made
    save_file(models[0], tmp_path / "a.safetensors")
    wrapped = {"state_dict": {f"module.{n}": t for n, t in models[1].items()}}
    torch.save(wrapped, tmp_path / "b.pt")
    folder = tmp_path / "c"
    folder.mkdir()
    half = {name: one.half() for name, one in models[2].items()}
    save_file(half, folder / "model.safetensors")
    found = diagnose([tmp_path / "a.safetensors", tmp_path / "b.pt", folder])
    assert (found.mergeable, found.same_origin) == (True, True)
    assert found.names == ("a", "b", "c")
    assert found.architecture.dtypes == ("float32", "float32", "float16")
    assert any("Dtypes differ" in one for one in found.reasons)
    assert any("module." in text for _, text in found.facts)


@given(
    st.integers(2, 7).flatmap(
        lambda n: st.tuples(
            st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=9)
        )
    )
)
def test_groups_are_connected_components(drawn):
    count, kin = drawn
    names = [str(k) for k in range(count)]
    pairs = [
        Kinship(
            one=str(i), other=str(j), same=(i, j) in kin, correlation=0.0, lowest=0.0,
            lowest_tensor="", alike=0, unlike=(), frozen=0,
        )
        for i in range(count)
        for j in range(count)
        if i != j
    ]  # fmt: skip
    reach = np.eye(count, dtype=bool)
    for i, j in kin:
        reach[i, j] = reach[j, i] = True
    for _ in range(count):
        reach = reach @ reach
    wanted = {frozenset(str(j) for j in range(count) if reach[i, j]) for i in range(count)}
    groups = grouped(names, pairs)
    assert {frozenset(group) for group in groups} == wanted
    assert [len(group) for group in groups] == sorted(map(len, groups), reverse=True)


def test_a_tied_head_is_no_tensor_that_is_missing(tmp_path, capsys):
    """One network stores the head that its configuration ties not; the other has one of its own."""
    generator = torch.Generator().manual_seed(0)
    body = {
        f"model.layers.{i}.mlp.weight": torch.randn(48, 48, generator=generator) for i in (0, 1)
    }
    body["model.embed_tokens.weight"] = torch.randn(64, 48, generator=generator)
    for name, ties in (("tied", True), ("own", False)):
        folder = tmp_path / name
        folder.mkdir()
        state = {n: t + 0.01 * torch.randn(t.shape, generator=generator) for n, t in body.items()}
        if not ties:
            state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        config = {"model_type": "llama", "tie_word_embeddings": ties}
        (folder / "config.json").write_text(json.dumps(config))
    paths = [tmp_path / "tied", tmp_path / "own"]
    found = diagnose(paths)
    assert found.architecture.same
    assert not any("lm_head" in reason for reason in found.reasons)
    assert execute(["inspect", *map(str, paths)]) == 0
    assert "has the same tensors as" in " ".join(capsys.readouterr().out.split())
