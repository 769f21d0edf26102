"""What a diagnosis says is true of what it compared: a test of each sentence, and random pools."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.studies import diagnose
from stockpot.studies.diagnosis.comparing.kinship import percent

SHAPES = {f"layers.{k}.weight": (24, 24) for k in range(15)} | {"head.weight": (10, 24)}
PARAMETERS = 15 * 24 * 24 + 240


def random(seed, scale=1.0, shapes=None):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: scale * torch.randn(shape, generator=generator)
        for name, shape in (shapes or SHAPES).items()
    }


def plus(*states):
    return {name: sum(one[name] for one in states) for name in states[0]}


BASE = random(0)
TUNED = [plus(BASE, random(seed, 0.2)) for seed in (1, 2, 3)]


def said(found, words):
    """The one reason that has these words."""
    (reason,) = [one for one in found.reasons if words in one]
    return reason


def reasons_of(found):
    return {one.method: one.reason for one in found.prospects}


def test_what_was_compared_is_counted():
    found = diagnose(TUNED, BASE)
    extent = found.compared
    assert (extent.tensors, extent.of_tensors) == (16, 16)
    assert (extent.parameters, extent.of_parameters) == (PARAMETERS, PARAMETERS)
    assert (extent.layers, extent.layer_parameters) == (16, PARAMETERS)
    assert (extent.base_tensors, extent.base_parameters, extent.share) == (16, PARAMETERS, 1.0)
    assert found.reasons[-1] == (
        "Compared: 16 of 16 tensors, with 8,880 of the 8,880 parameters of the largest model "
        "(100%); of these, 16 layers with 8,880 parameters tell where models come from."
    )
    assert found.as_dict()["compared"]["of_parameters"] == PARAMETERS
    assert (found.origin, found.undecided) == ("one", False)


def test_counters_second_names_and_private_heads_count_nowhere():
    tied = TUNED[0] | {"steps": torch.tensor(3)}
    tied["lm_head.weight"] = tied["layers.0.weight"]
    other = TUNED[1] | {"steps": torch.tensor(4)}
    other["lm_head.weight"] = other["layers.0.weight"]
    found = diagnose([tied, other], private=["head.weight"])
    assert (found.compared.tensors, found.compared.of_tensors) == (15, 15)
    assert found.compared.of_parameters == PARAMETERS - 240
    assert found.compared.whole


def test_one_tensor_in_common_says_nothing_of_the_rest():
    """The same weights in one of sixteen tensors: no copies, no start, no method."""
    mine = {f"mine.{name}": one for name, one in TUNED[0].items()}
    yours = {f"yours.{name}": one for name, one in random(7).items()}
    table = {"shared.weight": torch.sin(torch.arange(576.0)).reshape(24, 24)}
    found = diagnose([mine | table, yours | table])
    assert (found.mergeable, found.same_origin, found.origin) == (False, False, "unknown")
    assert said(found, "hold the same weights") == (
        "model 1 and model 2 hold the same weights in what could be compared, 6.1% of their "
        "parameters."
    )
    assert said(found, "can be compared, with") == (
        "1 layer can be compared, with 6.1% of the parameters of the largest model: too little to "
        "say whether the models come from one start."
    )
    assert not any("count twice" in step.said for step in found.steps)
    assert not any("starts" in one for one in found.reasons)
    assert set(reasons_of(found).values()) <= {
        "is refused: tensors differ",
        "needs --base",
        "takes 2 models",
    } | {one for one in reasons_of(found).values() if one.startswith("needs statistics")}
    assert not any(one.forecast for one in found.prospects)
    assert found.forecast == (
        "There is no forecast for models of which only 6.1% could be compared."
    )
    assert found.compared.said == (
        "Compared: 1 of 33 tensors, with 576 of the 9,456 parameters of the largest model (6.1%); "
        "of these, 1 layer with 576 parameters tells where models come from."
    )


def test_tiny_layers_tell_no_origin():
    shapes = {"0.weight": (4, 4), "0.bias": (4,), "1.weight": (2, 4)}
    found = diagnose([random(1, shapes=shapes), random(2, shapes=shapes)])
    assert (found.mergeable, found.origin, found.undecided) == (False, "unknown", True)
    assert found.verdict == (
        "Whether these models can be merged cannot be told from their weights."
    )
    assert "none is a matrix, convolution or embedding of 64 entries or more" in said(
        found, "No layer can be compared"
    )
    assert reasons_of(found)["average"] == "not judged: too little could be compared"
    assert "different starts" not in json.dumps(found.as_dict())
    assert any("Let data decide" in step.said for step in found.steps)
    assert found.recommended is None
    assert [one.outlier for one in found.models] == [False, False]


def test_a_small_part_of_layers_tells_no_origin_of_the_whole():
    shapes = {"0.weight": (10, 10), "norm.weight": (400,)}
    found = diagnose([random(1, shapes=shapes), random(2, shapes=shapes)])
    assert found.origin == "unknown"
    assert said(found, "too little to say").startswith("1 layer can be compared, with 20.0%")


def test_nothing_in_common():
    found = diagnose([TUNED[0], {"x": torch.ones(70)}])
    assert found.compared.tensors == 0
    assert found.compared.said == (
        "Compared: 0 of 17 tensors, with 0 of the 8,880 parameters of the largest model (0.0%)."
    )
    assert "They share 0.0% of the entries" in said(found, "different tensors")
    assert found.verdict == "Do not merge these models as they are."


def test_other_heads_are_judged_by_what_is_shared():
    wide = TUNED[1] | {"head.weight": torch.randn(12, 24)}
    found = diagnose([TUNED[0], wide])
    assert (found.mergeable, found.origin) == (False, "one")
    assert said(found, "one start").startswith("In what they share, one start: the layers of")
    assert "(median of 15 layers;" in said(found, "one start")
    assert found.compared.share == pytest.approx(15 * 576 / (15 * 576 + 288))
    same = TUNED[0] | {"head.weight": torch.randn(12, 24)}
    found = diagnose([TUNED[0], same])
    assert "In what they share, one start: of model 1 and model 2, all layers are the same." in (
        found.reasons
    )
    assert "in what could be compared, 96.8%" in said(found, "hold the same weights")


def test_different_starts_are_told_with_their_number_of_layers():
    found = diagnose([TUNED[0], TUNED[1], random(9)])
    assert found.origin == "several"
    most = max(one.correlation for one in found.pairs if "model 3" in (one.one, one.other))
    assert (
        "come from 2 starts: model 1, model 2 | model 3. Correlations of their layers across are "
        f"{most:.3f} at most (median of 16 layers)"
    ) in said(found, "starts")
    assert found.models[2].why == ("comes from another start than the others",) or (
        found.models[2].why[0] == "comes from another start than the others"
    )
    assert "model 3 spoils it" in found.verdict


def test_one_start_is_told_by_the_pair_that_was_measured():
    """A pair of copies is not what shows that others are kin."""
    found = diagnose([TUNED[0], TUNED[0], TUNED[1]])
    least = min(one.correlation for one in found.pairs if not one.said)
    assert f"have a correlation of {least:.3f} (median of 16 layers;" in said(found, "One start")
    found = diagnose([TUNED[0], TUNED[0]])
    assert "One start: of model 1 and model 2, all layers are the same." in found.reasons
    assert "model 1 and model 2 hold the same weights." in found.reasons


def test_near_copies_are_told_by_their_like():
    """Beside a stranger, or a model far off, two fine-tunes are near and still no copies."""
    near = [plus(BASE, random(seed, 0.03)) for seed in (1, 2, 3)]
    copy = plus(near[0], random(4, 0.0005))
    for odd in (random(9), plus(BASE, random(8, 0.9))):
        assert diagnose([*near, odd]).copies == ()
        assert diagnose([near[0], near[1], odd]).copies == ()
        (found,) = diagnose([*near, copy, odd]).copies
        assert (found.one, found.other) == ("model 1", "model 4")
        assert found.said.startswith("nearly the same weights (1.2% of the usual distance)")


def test_a_frozen_body_is_no_head_before_that_is_known():
    found = diagnose([BASE, BASE | {"layers.3.weight": TUNED[0]["layers.3.weight"]}])
    assert found.same_origin
    reason = said(found, "a frozen body")
    assert "all layers but 'layers.3.weight' are the same" in reason
    assert reason.endswith("exactly.")
    assert "If that is the last layer and nothing else differs" in reason
    assert found.forecast == "There is no forecast for models that differ in one layer alone."


@pytest.mark.parametrize("models", [[BASE, BASE], [BASE, TUNED[0]]])
def test_task_vectors_of_length_0(models):
    found = diagnose(models, BASE)
    assert "model 1 and the base hold the same weights." in found.reasons
    assert not any("Task vectors have" in one for one in found.reasons)
    assert not any("nan" in one.lower() for one in found.sentences)
    json.dumps(found.as_dict(), allow_nan=False)


def test_opposite_task_vectors_cancel():
    away = plus(BASE, random(1, -0.2))
    found = diagnose([TUNED[0], away], BASE)
    assert (found.mergeable, found.recommended) == (False, None)
    assert (found.task_vectors.one, found.task_vectors.other) == ("model 1", "model 2")
    reason = said(found, "are opposite")
    assert f"(cosine {found.task_vectors.lowest:.3f})" in reason
    assert found.verdict == "Do not merge these models as they are."
    assert not any("begin with" in one for one in found.sentences)
    assert found.forecast == "There is no forecast for opposite task vectors."
    third = diagnose([TUNED[0], away, TUNED[1]], BASE)
    assert not third.mergeable
    assert f"keeps {third.task_vectors.kept:.0%} of" in said(third, "are opposite")
    without = diagnose([TUNED[0], away])  # around the mean two always are
    assert (without.mergeable, without.task_vectors.centre) == (True, "mean")


def test_another_version_of_the_base_is_doubted():
    near = [plus(BASE, random(seed, 0.02)) for seed in (1, 2, 3)]
    version = plus(BASE, random(8, 0.6))
    found = diagnose(near, version)
    assert (found.mergeable, found.lineage.kind) == (True, "shifted")
    assert said(found, "may not be what they were trained from").endswith(
        "Methods that need a base are not advised."
    )
    assert reasons_of(found)["ties"] == "not advised: perhaps not their base"
    assert reasons_of(found)["average"] in ("", "advised")
    assert found.recommended in ("average", "median", "cart")
    assert {one.method for one in found.prospects if one.forecast} == {"average", "median", "cart"}
    assert any("Give the base that the models were" in step.said for step in found.steps)
    assert not any("--base" in step.command for step in found.steps)
    right = diagnose(near, BASE)
    assert right.lineage.kind == ""
    assert not any("trained from" in one for one in right.reasons)
    assert diagnose(near).lineage is None


def test_a_base_of_another_start_is_told_once():
    found = diagnose(TUNED, random(9))
    assert "median of 16 layers" in said(found, "The base is not what they come from")
    assert not any("may not be" in one or "nothing in common" in one for one in found.reasons)
    assert not any("Task vectors have" in one for one in found.reasons)
    assert reasons_of(found)["ties"] == "will fail: not their base"


def test_a_base_that_cannot_be_compared_is_no_stranger():
    found = diagnose(TUNED, {name: torch.ones(3) for name in SHAPES})
    assert found.bases == ()
    assert not any("come from:" in one for one in found.reasons)
    assert "less than half of what they share" in said(found, "The base lacks")
    assert found.compared.base_tensors == 0
    flat = diagnose(TUNED, {name: torch.ones(shape) for name, shape in SHAPES.items()})
    assert not any(one.known for one in flat.bases)
    assert not any("The base is not what" in one for one in flat.reasons)
    assert flat.mergeable


def test_a_base_that_lacks_tensors_is_compared_by_the_rest():
    short = {name: one for name, one in BASE.items() if name != "head.weight"}
    found = diagnose([TUNED[0], BASE], short)
    assert "model 2 and the base hold the same weights in what could be compared, 97.3%" in said(
        found, "hold the same"
    )
    assert found.compared.said.endswith("The base has 15 of them, with 8,640 parameters.")
    assert not any("only dilutes" in step.said for step in found.steps)


def test_what_is_broken_in_the_base_says_nothing_of_the_models():
    broken = {name: torch.full(shape, math.nan) for name, shape in SHAPES.items()}
    found = diagnose(TUNED, broken)
    assert (found.mergeable, found.origin, found.compared.tensors) == (True, "one", 16)
    assert "The base holds NaN or infinity in 'layers.0.weight'" in said(found, "The base holds")
    assert reasons_of(found)["ties"] == "is refused: NaN or infinity in the base"


def test_a_damaged_tensor_is_not_compared():
    bad = TUNED[1] | {"layers.0.weight": torch.full((24, 24), math.inf)}
    found = diagnose([TUNED[0], bad, TUNED[2]])
    assert found.compared.tensors == 15
    assert reasons_of(found)["average"] == "is refused: NaN or infinity"
    assert "model 2 spoils it" in found.verdict
    assert said(found, "holds NaN").startswith("model 2 holds NaN or infinity in 'layers.0")


def test_data_for_models_of_different_tensors_are_not_forgotten():
    wide = TUNED[1] | {"head.weight": torch.randn(12, 24)}
    found = diagnose([TUNED[0], wide], network="mlp", data="digits")
    assert "No losses were measured: models of different tensors are not one network." in (
        found.reasons
    )


def test_many_models():
    many = [plus(BASE, random(seed, 0.2)) for seed in range(40)]
    found = diagnose(many, BASE)
    assert found.mergeable
    assert all(len(one) < 700 for one in found.sentences)
    strangers = diagnose([random(seed) for seed in range(40)])
    assert "model 1 | model 2" in said(strangers, "40 starts")


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0%"), (1e-9, "less than 0.1%"), (0.25, "25.0%"), (0.9999999, "99.999%"), (1, "100%")],
)
def test_not_all_is_not_100_percent(share, shown):
    assert percent(share) == shown


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 4),
    kinds=st.lists(
        st.sampled_from(["tuned", "copy", "base", "stranger", "negated", "short", "other shape"]),
        min_size=4,
        max_size=4,
    ),
    base=st.sampled_from([None, "base", "stranger", "short", "version"]),
    broken=st.booleans(),
)
def test_random_pools(seed, count, kinds, base, broken):
    start = random(seed)
    made = {
        "copy": plus(start, random(seed + 1, 0.2)),
        "base": start,
        "negated": plus(start, random(seed + 1, -0.2)),
        "short": {n: t for n, t in start.items() if n < "layers.12"},
        "other shape": start | {"head.weight": torch.ones(3, 24)},
        "version": plus(start, random(seed + 2, 0.8)),
        "stranger": random(seed + 3),
    }
    models = [
        plus(start, random(seed + 10 + k, 0.2)) if kind == "tuned" else made[kind]
        for k, kind in enumerate(kinds[:count])
    ]
    if broken:
        models[0] = models[0] | {"layers.1.weight": torch.full((24, 24), math.nan)}
    found = diagnose(models, None if base is None else made[base])
    extent, names = found.compared, list(found.names)
    common = [n for n in models[0] if all(n in one for one in models)]
    alike = [
        n
        for n in common
        if len({one[n].shape for one in models}) == 1
        and all(bool(one[n].isfinite().all()) for one in models)
    ]
    assert extent.tensors == len(alike)
    assert extent.parameters == sum(models[0][n].numel() for n in alike)
    assert extent.of_parameters == max(sum(t.numel() for t in one.values()) for one in models)
    assert found.same_origin == (found.origin == "one")
    assert found.mergeable or found.recommended is None
    assert all(one.endswith(".") and "nan" not in one for one in found.reasons)
    assert extent.said in found.reasons
    assert (found.origin != "several") or any("starts" in one for one in found.reasons)
    if found.origin != "several":
        assert not any("different starts" in one.reason for one in found.prospects)
    for one in found.copies:
        i, j = names.index(one.one), (names.index(one.other) if one.other in names else -1)
        other = models[j] if j >= 0 else made[str(base)]
        there = [n for n in alike if n in other and other[n].shape == models[i][n].shape]
        assert all(torch.equal(models[i][n], other[n]) for n in there)
        exact = f"{one.one} and {one.other} hold the same weights." in found.reasons
        assert not exact or all(torch.equal(models[i][n], other[n]) for n in models[i])
    json.dumps(found.as_dict(), allow_nan=False)
