"""The study of magnitude: identities of factors, exact arithmetic, overflow, terms and bounds."""

import json
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from stockpot.cli.app import execute
from stockpot.data import load, split
from stockpot.errors import FieldError, StockpotError
from stockpot.evaluation import Ingredients, Predictions, soup
from stockpot.networks import build, headed
from stockpot.report import render
from stockpot.studies import Magnitude, open_pools
from stockpot.studies.magnitude.carried import run_carried
from stockpot.studies.magnitude.magnifying import Bowl, _judged, outcomes
from stockpot.studies.magnitude.moments import bounds, moments
from stockpot.studies.magnitude.overflow import (
    observed_overflow,
    predicted_overflow,
    subject_in_float64,
)
from stockpot.studies.magnitude.perturbing import (
    EVERYTHING,
    PERTURBATIONS,
    magnified,
    rescaled,
)
from stockpot.studies.magnitude.walking import Plan

from ..report.test_browser import FIGURES, OVERLAPS

EXPERIMENT = """
network: {name: mlp, width: 16, depth: 3}
data: digits
split: {selection: 0.2, test: 0.5}
ingredients: {count: 3, share: pretrained, pretrain: {epochs: 2, lr: 0.01}, epochs: 1, lr: 0.01}
compare: {counts: [2, 3]}
"""
SHAPE = {"num_classes": 10, "in_channels": 1, "image_size": 8}


def perceptron(layers, *, width=32, bias=True, seed=0):
    """He's initialisation, with biases that matter."""
    made = torch.Generator().manual_seed(seed)
    sizes = [64] + [width] * (layers - 1) + [10]
    parts = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layer = nn.Linear(inputs, outputs, bias=bias)
        with torch.no_grad():
            layer.weight.normal_(std=(2 / inputs) ** 0.5, generator=made)
            if bias:
                layer.bias.normal_(std=0.1, generator=made)
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1]).eval()


@pytest.fixture(scope="module")
def splits():
    return split(load("digits"), selection=0.2, test=0.5)


def pool_of(networks, splits):
    return Ingredients(
        seed=0,
        names=[str(i) for i in range(len(networks))],
        sources=networks,
        splits=splits,
        build=lambda: perceptron(19, bias=False),
        headed=lambda network: headed(network, splits.train.batch(slice(0, 4))),
    )


def subject_of(network, splits):
    return headed(network, splits.train.batch(slice(0, 4)))


def settled(name, **options):
    """A built-in network whose batch-norm statistics are not those of a new one."""
    network = build(name, **SHAPE, **options)
    made = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.3, generator=made)
                module.running_var.uniform_(0.5, 2, generator=made)
    return network


NETWORKS = {
    "perceptron": lambda: perceptron(6),
    "cnn": lambda: build("cnn", **SHAPE, width=4),
    "resnet": lambda: settled("resnet-8", width=4),
    "resnet-group": lambda: build("resnet-8", **SHAPE, width=4, norm="group"),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("factor", [1.0, 3.7, 200.0])
def test_carried_exponents_are_float64_where_it_does_not_overflow(name, factor, splits):
    subject = subject_in_float64(subject_of(NETWORKS[name](), splits))
    subject = subject.on(magnified(subject.network, factor))
    data = splits.selection.take(torch.arange(40))
    run = run_carried(Plan(subject.network, subject.name), subject, data)
    with torch.no_grad():
        logits, features = subject.run(data.images.double())
    for carried, whole in ((run.logits, logits), (run.features, features)):
        found = torch.ldexp(carried.values, carried.exponents[:, None])
        torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-12 * float(whole.abs().max()))
        assert float(carried.values.abs().max()) <= 1


def test_carried_exponents_go_on_where_float64_is_full(splits):
    subject = subject_in_float64(subject_of(perceptron(19, bias=False), splits))
    data = splits.selection.take(torch.arange(40))
    plan = Plan(subject.network, subject.name)
    plain = run_carried(plan, subject, data).logits
    far = subject.on(magnified(subject.network, 2.0**100))
    assert not bool(far.network(data.images.double()).isfinite().all())
    found = run_carried(plan, far, data).logits
    steps = found.exponents - 1900 - plain.exponents
    scaled = torch.ldexp(found.values, steps[:, None])
    assert torch.equal(scaled, plain.values)  # a power of two rounds nothing


def test_a_part_that_no_factor_passes_through_is_named():
    with pytest.raises(StockpotError, match="no factor passes through: GELU"):
        Plan(nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)), "2")
    with pytest.raises(StockpotError, match="cannot trace VisionTransformer"):
        Plan(build("vit-tiny", **SHAPE), "head")


def test_the_soup_of_magnified_networks_is_the_magnified_soup(splits):
    networks = [perceptron(19, bias=False, seed=i) for i in range(3)]
    whole = magnified(soup(pool_of(networks, splits), range(3)), 64.0)
    other = soup(pool_of([magnified(one, 64.0) for one in networks], splits), range(3))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_without_biases_every_column_is_flat_in_exact_arithmetic(splits):
    """And in float32 nothing is left of it."""
    networks = [perceptron(19, bias=False, seed=i) for i in range(3)]
    bowl = Bowl(pool=pool_of(networks, splits), counts=(2, 3), seed=0)

    def columns(arithmetic, factor):
        found = outcomes(bowl, EVERYTHING, factor, arithmetic)
        return {(n, method): one for n, method, one in found}

    plain = columns("float64", 1.0)
    for arithmetic, factor in (("float64", 512.0), ("carried", 512.0), ("carried", 2.0**90)):
        for key, one in columns(arithmetic, factor).items():
            if key[1] == "probabilities-ensemble":
                continue  # larger logits are surer ones: it is a vote in the end
            assert torch.equal(one.correct, plain[key].correct), (arithmetic, factor, key)
            assert bool((one.finite == 1).all())
    for one in columns("float32", 512.0).values():
        assert float(one.correct.max()) == 0
        assert float(one.finite.double().max()) == 0


@pytest.mark.parametrize("layers", [4, 8, 19])
def test_the_predicted_overflow_is_within_a_factor_of_two(layers, splits):
    subject = subject_of(perceptron(layers), splits)
    plan = Plan(subject.network, subject.name)
    predicted = predicted_overflow(plan, subject.network, splits.train.images)
    data = splits.selection.take(torch.arange(100))
    observed = observed_overflow(
        subject,
        data,
        lambda one, factor: magnified(one.network, factor),
        lambda wide: run_carried(plan, wide, data).logits.values.argmax(dim=1),
    )
    assert 0.5 < predicted / observed < 2
    assert 0.5 < observed / 2 ** (128 / layers) < 2  # M^depth is what float32 cannot hold


def test_nan_is_the_largest_as_published_and_wrong_as_counted():
    logits = torch.tensor([[0.0, math.nan, 9.0], [math.nan, 0.0, 1.0], [0.0, 2.0, 1.0]])
    found = _judged(Predictions(logits, torch.tensor([1, 2, 1]), torch.arange(3)))
    assert found.published.tolist() == [1, 0, 1]
    assert found.correct.tolist() == [0, 0, 1]
    assert found.finite.tolist() == [False, False, True]


@pytest.mark.parametrize("name", NETWORKS)
def test_rescaling_changes_weights_and_keeps_the_function(name, splits):
    network = NETWORKS[name]()
    changed = rescaled(network, 8.0)
    inputs = splits.selection.images[:50]
    with torch.no_grad():
        before, after = network(inputs), changed(inputs)
    if name == "perceptron":
        assert torch.equal(before, after)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)
    moved = [
        key for key, one in network.state_dict().items() if not one.equal(changed.state_dict()[key])
    ]
    assert len([key for key in moved if key.endswith("weight")]) >= 2


def test_rescaling_is_refused_where_nothing_takes_it_back():
    with pytest.raises(StockpotError, match="none can be rescaled"):
        rescaled(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), 2.0)


def test_noise_is_of_the_size_that_is_asked_for_and_repeats(splits):
    noise = next(one for one in PERTURBATIONS if one.name == "noise")
    subject = subject_of(perceptron(3, width=200), splits)
    drawn = [noise.apply(subject, 0.5, index, 7) for index in (0, 0, 1)]
    weights = [one.state_dict()["3.weight"] for one in drawn]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    plain = subject.network.state_dict()["3.weight"]
    size = float((weights[0] - plain).square().mean().sqrt() / plain.square().mean().sqrt())
    assert size == pytest.approx(0.5, rel=0.02)


def test_the_variance_of_an_average_has_the_covariance_in_it():
    made = torch.Generator().manual_seed(0)
    networks = [nn.Sequential(nn.Linear(30, 20)) for _ in range(4)]
    shared = torch.randn(20, 30, generator=made)
    for one in networks:
        with torch.no_grad():
            one[0].weight.copy_(shared + 0.5 * torch.randn(20, 30, generator=made))
    start = nn.Sequential(nn.Linear(30, 20))
    with torch.no_grad():
        start[0].weight.copy_(shared)
    found = moments(networks[:2], start)[1]
    one, other = (network[0].weight.detach().double() for network in networks[:2])
    mean = (float(one.var(correction=0)) + float(other.var(correction=0))) / 2
    direct = float(((one + other) / 2).var(correction=0))
    assert found.of_average * found.variance == pytest.approx(direct, rel=1e-12)
    assert found.of_average == pytest.approx((1 + found.covariance) / 2, rel=1e-12)
    assert found.variance == pytest.approx(mean, rel=1e-12)
    assert found.of_all == pytest.approx(found.of_average, rel=1e-12)
    star = max(float(one.abs().max()), float(other.abs().max()))
    assert found.maximum == star
    assert found.maximum_of_average <= found.bound <= 1
    four = moments(networks, start)[0]
    assert four.covariance == pytest.approx(1 / 1.25, abs=0.05)
    assert four.delta_of_all == pytest.approx(1 / 4, abs=0.05)  # noise of each is independent
    assert four.below_larger == 1


def test_bounds_on_a_case_by_hand():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        network[2].weight.copy_(torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
        network[2].bias.copy_(torch.tensor([1.0, 3.0]))
    first, second = bounds(network, torch.tensor([[3.0, 4.0], [-1.0, 0.0]]), "single")
    step = 2 * math.sqrt(2)  # the largest entry is 2, two units
    assert first.norm == pytest.approx(math.sqrt(52) / 5)
    assert first.norm_bound == pytest.approx(step)
    assert second.norm_bound == pytest.approx(step**2)
    assert first.spectral_bound == pytest.approx(2)
    assert second.spectral_bound == pytest.approx(2 * math.sqrt(2))
    assert first.constant == pytest.approx(first.norm / step)
    # mean square of inputs 26/4; weights of the first layer 2, 0, 0, 1 vary by 11/16
    assert first.variance_bound == pytest.approx(2 * 11 / 16 * 6.5)
    assert first.variance == pytest.approx(torch.tensor([6.0, 4, -2, 0]).var(correction=0))
    assert second.variance_bound == pytest.approx(2 * 0.75 * first.variance_bound + 1)
    with pytest.raises(StockpotError, match="not made of linear layers"):
        bounds(build("cnn", **SHAPE), torch.zeros(1, 1, 8, 8), "single")


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("magnitude")
    path = folder / "experiment.yml"
    path.write_text(EXPERIMENT)
    return open_pools(path, folder / "study")


@pytest.fixture(scope="module")
def found(trial):
    return Magnitude()(trial)


def test_the_whole_study(found):
    assert found.exact == "carried"
    grid = [p.size for p in found.line("everything", "float32", 3, "uniform-soup")]
    assert len(grid) == 12
    assert grid == sorted(grid)
    assert grid[0] == 1
    line = found.line("everything", "float32", 3, "logits-ensemble")
    assert line[0].non_finite == 0
    assert line[-1].non_finite == 1
    assert line[-1].accuracy == 0
    exact = found.line("everything", "carried", 3, "logits-ensemble")
    wide = found.line("everything", "float64", 3, "logits-ensemble")
    assert [p.accuracy for p in exact] == [p.accuracy for p in wide]
    assert all(p.non_finite == 0 for p in exact)
    assert 0.5 < found.full("single", "predicted") / found.full("single", "observed") < 2
    for n in (2, 3):
        soup_line = found.line("everything", "float32", n, "uniform-soup")
        ensemble = found.line("everything", "float32", n, "logits-ensemble")
        gap = found.line("everything", "float32", n, "uniform-soup - logits-ensemble")
        for one, other, between in zip(soup_line, ensemble, gap, strict=True):
            assert between.accuracy == pytest.approx(one.accuracy - other.accuracy, abs=1e-12)
            assert between.low <= between.accuracy <= between.high
    temperature = found.line("temperature", "float32", 3, "single-mean")
    assert len({p.accuracy for p in temperature}) == 1  # a factor on logits changes no class
    rescaling = found.line("rescaling", "float32", 3, "logits-ensemble")
    assert len({p.accuracy for p in rescaling}) == 1  # the function is kept, bit for bit
    assert found.moment("of_average").value > 0.5
    assert len(found.bounds) == 8
    assert len(found.sentences) >= 7
    size = grid[0]
    soups = [b.soup for b in found.batches if b.size == size]
    assert len(soups) == 898 // 64
    json.dumps(found.as_dict(), allow_nan=False)
    assert found.to_csv().count("\n") == 1 + len(found.points) + len(found.gaps)


def test_wrong_questions_are_refused(trial):
    with pytest.raises(FieldError, match="between 2 and 3"):
        Magnitude(counts=[4])(trial)
    with pytest.raises(FieldError, match="noise, temperature; got nois"):
        Magnitude(perturb=["nois"])(trial)
    with pytest.raises(FieldError, match=r"factors must be a list, each in \[1, ∞\); got 0.5"):
        Magnitude(factors=[0.5])(trial)


def test_the_command_writes_the_study(trial, tmp_path, capsys):
    words = ["study", "magnitude", str(trial.run), "--out", str(tmp_path / "out")]
    wanted = ["--factors", "2,1e9", "--perturb", "everything", "--counts", "3"]
    assert execute([*words, *wanted]) == 0
    assert "published (float32" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {p["size"] for p in told["points"]} == {1, 2, 1e9}
    assert {p["n"] for p in told["points"]} == {3}
    assert (tmp_path / "out" / "report.html").stat().st_size < 3e6
    for flags, said in (
        (["--factors", "0.5"], "each in [1, ∞); got 0.5"),
        (["--factors", "x"], "is no number"),
        (["--counts", "1"], "in [2, ∞); got 1"),
    ):
        assert execute([*words, *flags]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(browser, found, width):
    page = render(found)
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == 7
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window
    assert len(page) < 3e6
