"""Templates: likeness on hand cases, identities of averages, the study over an experiment."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from stockpot.data import Dataset
from stockpot.errors import FieldError
from stockpot.networks import load_weights
from stockpot.studies import Templates, open_pools
from stockpot.studies.templates.computing import (
    class_means,
    contrasts,
    correlation,
    correlations,
    fading,
    first_layer,
    matched,
    similarity,
)

LINEAR = """
network: linear
data: digits
split: {limit: 300}
ingredients:
  count: 4
  share: none
  epochs: 20
  optimiser: sgd
  lr: 0.05
  schedule: constant
  vary: {weight_decay: [0, 1]}
compare: {seeds: 2}
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    path = tmp_path_factory.mktemp("templates") / "linear.yml"
    path.write_text(LINEAR)
    return open_pools(path, path.parent / "study")


@pytest.fixture(scope="module")
def found(trial):
    return Templates()(trial)


def pictures(*rows, side=2):
    return torch.tensor(rows, dtype=torch.float32).reshape(len(rows), 1, side, -1)


def test_correlation_on_a_hand_case():
    a = pictures([1, 2, 3, 4], [1, -1, 0, 0])
    b = pictures([2, 4, 6, 8], [0, 0, 1, -1])
    wanted = torch.tensor([[1.0, -math.sqrt(0.1)], [-math.sqrt(0.1), 0.0]], dtype=torch.float64)
    # (1, 2, 3, 4) less 2.5 times (0, 0, 1, -1): -1 over sqrt(5) sqrt(2)
    assert torch.allclose(correlations(a, b), wanted)
    assert correlation(a, b) == pytest.approx(0.5)
    assert contrasts(a).tolist() == pytest.approx([math.sqrt(1.25), math.sqrt(0.5)])


def test_correlation_is_numpys_and_leaves_constant_pictures_out():
    made = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 3, 4, 4, generator=made) for _ in range(2))
    numpy = np.corrcoef(a.flatten(1).double().numpy(), b.flatten(1).double().numpy())[:5, 5:]
    assert np.allclose(correlations(a, b).numpy(), numpy)
    a[2] = 1.0
    rest = [numpy[k, k] for k in (0, 1, 3, 4)]
    assert correlation(a, b) == pytest.approx(float(np.mean(rest)))


@pytest.mark.parametrize("side", [8, 20])
def test_similarity_is_of_structure_not_of_scale(side):
    made = torch.Generator().manual_seed(0)
    a = torch.randn(3, 1, side, side, generator=made)
    assert similarity(3 * a + 7, a) == pytest.approx(1, abs=1e-6)
    assert similarity(-a, a) < -0.8
    assert abs(similarity(torch.randn(a.shape, generator=made), a)) < 0.2


def test_fading_of_independent_equal_and_opposed_pictures():
    a = pictures([1, -1, 0, 0], [1, 1, -1, -1])
    b = pictures([0, 0, 1, -1], [1, -1, 1, -1])
    ratio, alike, parent = fading((a + b) / 2, [a, b])
    assert ratio == pytest.approx(math.sqrt(0.5))
    assert alike == pytest.approx(0, abs=1e-12)
    assert parent == pytest.approx(math.sqrt(0.5))
    assert fading(a, [a, a]) == pytest.approx((1, 1, 1))
    ratio, alike, _ = fading((a - a) / 2, [a, -a])
    assert (ratio, alike) == pytest.approx((0, -1))


def test_fading_follows_from_the_correlation_for_equal_contrasts():
    made = torch.Generator().manual_seed(3)
    parents = [torch.randn(1, 1, 9, 9, generator=made) for _ in range(4)]
    shared = torch.randn(1, 1, 9, 9, generator=made)
    parents = [one + shared for one in parents]
    parents = [one / contrasts(one).float() for one in parents]
    ratio, alike, _ = fading(torch.stack(parents).mean(0), parents)
    assert ratio == pytest.approx(math.sqrt((1 + 3 * alike) / 4), rel=1e-5)


def test_matched_counts_templates_that_are_likest_their_own_mean():
    a, b = [1, -1, 0, 0], [0, 0, 1, -1]
    assert matched(pictures(a, b), pictures(a, b)) == 1
    assert matched(pictures(a, b), pictures(b, a)) == 0
    assert matched(pictures(a, a), pictures(a, b)) == 0.5


def test_a_constant_template_matches_no_mean_not_even_the_first():
    a, b, flat = [1, -1, 0, 0], [0, 0, 1, -1], [2, 2, 2, 2]
    assert matched(pictures(flat, b), pictures(a, b)) == 0.5
    assert matched(pictures(a, b), pictures(flat, b)) == 0.5


def test_class_means_are_the_means_of_classes():
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2500, 1, 3, 4), generator=made, dtype=torch.uint8)
    labels = torch.randint(0, 3, (2500,), generator=made)
    data = Dataset("d", images, labels, 4, torch.arange(2500))
    means = class_means(data)
    for label in range(3):
        wanted = images[labels == label].double().mean(0) / 255
        assert torch.allclose(means[label].double(), wanted, atol=1e-6)
    assert bool(means[3].isnan().all())
    several = torch.nn.functional.one_hot(labels, 4).bool()
    several[:, 3] = True
    many = class_means(Dataset("d", images, several, 4, torch.arange(2500)))
    assert torch.allclose(many[:3], means[:3])
    assert torch.allclose(many[3].double(), images.double().mean(0) / 255, atol=1e-6)


def test_each_weight_decay_is_averaged_by_itself(trial, found):
    assert found.decays("linear") == (0.0, 1.0)
    assert [row.parents for row in found.rows if row.subject == "merged"] == [2] * 4
    pool = trial.pools[0]
    weights = [one.network.head.weight for one in pool.kept]  # decays 0, 1, 0, 1
    merged = next(p for p in found.shown("linear", 1.0) if p.label == "merged")
    mean = ((weights[1] + weights[3]) / 2).detach().reshape(10, 1, 8, 8)
    assert torch.allclose(torch.from_numpy(merged.values), mean, atol=1e-7)
    network = pool.build()
    load_weights(network, pool.kept[0].path)
    one = next(p for p in found.shown("linear", 0.0) if p.label == "one network")
    assert np.array_equal(one.values.reshape(10, 64), network.head.weight.detach().numpy())


def test_rows_are_what_the_pictures_say(trial, found):
    """The pair's template is the average of templates, and it is set against averaged means."""
    pool = trial.pools[0]
    raw = class_means(pool.splits.train)
    centred = raw - raw.mean(0)
    pairs = [
        row.correlation
        for row in found.rows
        if (row.seed, row.subject, row.weight_decay) == (0, "pair", 0.0)
    ]
    values = []
    for one in (pool.kept[0], pool.kept[2]):
        rows = one.network.head.weight.detach().reshape(10, 1, 8, 8)
        values.append(correlation((rows[:5] + rows[5:]) / 2, (centred[:5] + centred[5:]) / 2))
    assert pairs == [pytest.approx(sum(values) / 2)]


def test_weight_decay_makes_templates_of_means(found):
    likeness = [found.at("linear", decay, "single", "correlation").value for decay in (0, 1)]
    assert likeness[1] > likeness[0] + 0.02
    assert likeness[1] > 0.95
    assert len([one for one in found.sentences if "weight decay 1:" in one]) == 3


def test_the_files_hold_every_number_and_picture(found):
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert len(told["rows"]) == len(found.rows) == 2 * 2 * 3
    assert [one["label"] for one in told["pictures"]] == [one.label for one in found.pictures]
    assert told["rows"][0]["ratio"] is None
    assert found.to_csv().count("\n") == 1 + len(found.rows)


@pytest.mark.parametrize(
    ("network", "kind"), [("{name: mlp, width: 6}", "units"), ("{name: cnn, width: 4}", "kernels")]
)
def test_first_layers_of_other_networks(network, kind, tmp_path):
    path = tmp_path / "other.yml"
    path.write_text(
        f"network: {network}\ndata: digits\nsplit: {{limit: 100}}\n"
        "ingredients: {count: 2, share: none, epochs: 1}\n"
    )
    found = Templates()(open_pools(path, tmp_path / "study"))
    (cell,) = found.cells
    assert found.kind(cell) == kind
    assert {row.subject for row in found.rows} == {"single", "merged"}
    assert all(math.isnan(row.correlation) for row in found.rows)
    merged = found.at(cell, 0.01, "merged", "ratio").value
    assert merged == pytest.approx(math.sqrt(0.5), abs=0.2)  # networks of no common start
    shapes = {one.values.shape for one in found.pictures}
    assert shapes == {(6, 1, 8, 8) if kind == "units" else (4, 1, 3, 3)}
    assert [one.label for one in found.pictures] == ["ingredient-00", "ingredient-01", "merged"]


def test_what_has_no_pictures_is_refused():
    tokens = torch.ones(4, 2, 5, dtype=torch.int64)
    labels = torch.tensor([0, 1, 0, 1])
    texts = Dataset("words", tokens, labels, 2, torch.arange(4))
    with pytest.raises(FieldError, match="'words' are texts: templates are pictures of pixels"):
        first_layer(nn.Linear(5, 2), texts)
    images = Dataset("dots", torch.rand(4, 1, 6, 6), labels, 2, torch.arange(4))
    pooled = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(9, 2)).eval()
    with pytest.raises(FieldError, match="begins with Linear: templates need a first layer"):
        first_layer(pooled, images)
    with pytest.raises(FieldError, match="begins with no layer with weights"):
        first_layer(nn.Flatten(), images)
