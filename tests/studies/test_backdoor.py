"""Contributors against averages that are really taken, planted outliers, and a real backdoor."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from stockpot import merge
from stockpot.cli.app import execute
from stockpot.data import load, split
from stockpot.errors import FieldError, MergeError
from stockpot.methods import Average, Fisher, Median, Slerp, Ties, TsvM
from stockpot.networks import build
from stockpot.report import render, write_study
from stockpot.studies import Backdoor
from stockpot.studies.backdoor.figures import suspicions
from stockpot.training import Fit, fit

from ..report.test_browser import FIGURES, OVERLAPS
from .making import checkpoints

SHAPES = {"a.weight": (12, 20), "b.weight": (9, 12), "b.bias": (9,)}


def pool(count, seed=0, spread=0.1):
    """A start, and state dicts that are noise around a step that they share."""
    made = torch.Generator().manual_seed(seed)
    base = {name: torch.randn(shape, generator=made) for name, shape in SHAPES.items()}
    step = {name: 0.1 * torch.randn(shape, generator=made) for name, shape in SHAPES.items()}
    models = [
        {n: base[n] + step[n] + spread * torch.randn(base[n].shape, generator=made) for n in base}
        for _ in range(count)
    ]
    return base, models


def slow(models, base, method, names):
    """|M - M_i| and its share of |M - base|, from merges in memory, by model and tensor."""
    needed = base if method.needs.base else None
    whole = merge(models, method, base=needed)
    found = {}
    for k in range(len(models)):
        rest = merge([*models[:k], *models[k + 1 :]], method, base=needed)
        for name in names:
            origin = torch.zeros_like(whole[name]) if base is None else base[name]
            moved = (whole[name].double() - rest[name].double()).norm()
            found[k, name] = float(moved), float(moved / (whole[name] - origin).double().norm())
    return found


@given(
    count=st.integers(2, 6),
    seed=st.integers(0, 50),
    spread=st.sampled_from([1e-3, 0.1, 10.0]),
    with_base=st.booleans(),
)
def test_influence_is_that_of_averages_without_each_model(count, seed, spread, with_base):
    base, models = pool(count, seed, spread)
    origin = base if with_base else None
    found = Backdoor()(models, base=origin, workers=1)
    wanted = slow(models, origin, Average(), SHAPES)
    for row in found.rows:
        k = found.models.index(row.model)
        if row.tensor == "all":
            told = math.hypot(*(wanted[k, name][0] for name in SHAPES))
            assert math.isclose(row.influence, told, rel_tol=1e-3)
            continue
        assert math.isclose(row.influence, wanted[k, row.tensor][0], rel_tol=1e-3)
        assert math.isclose(row.relative, wanted[k, row.tensor][1], rel_tol=1e-3)


def test_distances_lengths_and_cosines_are_those_of_flat_vectors():
    base, models = pool(4, seed=3)
    found = Backdoor()(models, base=base)
    for row in found.rows:
        names = list(SHAPES) if row.tensor == "all" else [row.tensor]
        deltas = [
            torch.cat([(m[n].double() - base[n].double()).flatten() for n in names]).numpy()
            for m in models
        ]
        k = found.models.index(row.model)
        rest = np.mean([d for j, d in enumerate(deltas) if j != k], axis=0)
        assert math.isclose(row.length, np.linalg.norm(deltas[k]), rel_tol=1e-5)
        assert math.isclose(row.distance, np.linalg.norm(deltas[k] - rest), rel_tol=1e-5)
        angle = deltas[k] @ rest / np.linalg.norm(deltas[k]) / np.linalg.norm(rest)
        assert math.isclose(row.cosine, angle, rel_tol=1e-5, abs_tol=1e-7)
    for model in found.models:
        shares = [r.share for r in found.rows if r.model == model and r.tensor != "all"]
        assert math.isclose(sum(shares), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("method", [Median(), Ties(density=0.3), TsvM()], ids=str)
def test_influence_on_another_method_is_that_of_its_own_merges(method):
    base, models = pool(4, seed=5)
    found = Backdoor(method=method)(models, base=base)
    wanted = slow(models, base, method, SHAPES)
    for row in found.rows:
        if row.tensor != "all":
            told = wanted[found.models.index(row.model), row.tensor]
            assert math.isclose(row.influence, told[0], rel_tol=1e-4, abs_tol=1e-6)
            assert math.isclose(row.relative, told[1], rel_tol=1e-4, abs_tol=1e-6)
    assert found.suspicions == Backdoor()(models, base=base).suspicions


@settings(max_examples=20)
@given(order=st.permutations(range(5)), with_base=st.booleans())
def test_the_order_of_models_changes_nothing(order, with_base):
    base, models = pool(5, seed=7)
    models[3]["a.weight"] = models[3]["a.weight"] + 1.0
    origin = base if with_base else None
    names = [f"m{k}" for k in range(5)]
    first = Backdoor()(models, base=origin, names=names, workers=1)
    again = Backdoor()(
        [models[k] for k in order], base=origin, names=[names[k] for k in order], workers=1
    )
    rows = {(row.tensor, row.model): row for row in again.rows}
    for row in first.rows:
        other = rows[row.tensor, row.model]
        assert math.isclose(row.influence, other.influence, rel_tol=1e-4)
        assert math.isclose(row.distance, other.distance, rel_tol=1e-4)
    told = {one.model: one for one in again.suspicions}
    for one in first.suspicions:
        assert math.isclose(one.score, told[one.model].score, rel_tol=1e-2, abs_tol=1e-2)
        assert one.alarm == told[one.model].alarm == (one.model == "m3")


def test_scores_are_spreads_of_what_the_others_have_without_the_model():
    base, models = pool(5, seed=11)
    models[1] = {n: base[n] + 2.5 * (t - base[n]) for n, t in models[1].items()}
    found = Backdoor()(models, base=base)
    rest = Backdoor()([m for k, m in enumerate(models) if k != 1], base=base)
    own = next(r for r in found.rows if r.tensor == "all" and r.model == "model 2")
    theirs = [r for r in rest.rows if r.tensor == "all"]

    def spreads(value, others, floor):
        middle = np.median(others)
        return (value - middle) / max(1.4826 * np.median(np.abs(others - middle)), floor)

    one = found.suspicions[1]
    lengths = np.log([r.length for r in theirs])
    assert math.isclose(one.length, spreads(math.log(own.length), lengths, 0.1), rel_tol=1e-6)
    distances = np.log([r.distance / math.sqrt(4 / 3) for r in theirs])
    wanted = spreads(math.log(own.distance / math.sqrt(5 / 4)), distances, 0.1)
    assert math.isclose(one.distance, wanted, rel_tol=1e-6)
    wanted = spreads(-own.cosine, -np.array([r.cosine for r in theirs]), 0.05)
    assert math.isclose(one.direction, wanted, rel_tol=1e-5, abs_tol=1e-6)
    assert (one.alarm, one.score) == (True, max(one.length, one.distance, one.direction, one.layer))


@pytest.mark.parametrize("count", [3, 4, 8])
@pytest.mark.parametrize(
    ("plant", "evidence"),
    [
        (lambda base, t: base + 3 * (t - base), "length"),
        (lambda base, t: base + 0.7 * torch.randn(t.shape).sign() * (t - base).abs(), "direction"),
    ],
    ids=["longer", "elsewhere"],
)
def test_a_planted_outlier_is_found_and_no_one_else(count, plant, evidence):
    base, models = pool(count, seed=2, spread=0.02)
    torch.manual_seed(0)
    models[1] = {name: plant(base[name], t) for name, t in models[1].items()}
    found = Backdoor()(models, base=base)
    assert [one.model for one in found.alarms] == ["model 2"]
    assert getattr(found.alarms[0], evidence) > found.threshold
    assert any(line.startswith("Alarm: model 2") for line in found.sentences)


def test_one_layer_that_is_far_out_is_named():
    _, models = pool(5, seed=4)
    models[0]["b.weight"] = models[0]["b.weight"] + 0.3 * torch.randn(9, 12)
    found = Backdoor()(models)  # without a base
    one = found.suspicions[0]
    assert (one.alarm, one.tensor, one.length, one.direction) == (True, "b.weight", 0.0, 0.0)
    assert one.layer > found.threshold
    assert "'b.weight'" in next(s for s in found.sentences if s.startswith("Alarm"))


@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_copies_raise_no_alarm(count, with_base):
    base, models = pool(1)
    found = Backdoor()(models * count, base=base if with_base else None)
    assert found.alarms == ()
    assert found.sentences == ("The models are copies: none moves the merge.",)
    same = Backdoor()([base] * 3, base=base)
    assert same.alarms == ()
    assert all(math.isfinite(one.score) for one in same.suspicions)


@given(count=st.integers(3, 8), seed=st.integers(0, 200), with_base=st.booleans())
def test_models_that_differ_by_noise_raise_no_alarm(count, seed, with_base):
    base, models = pool(count, seed)
    assert Backdoor()(models, base=base if with_base else None, workers=1).alarms == ()


def test_of_two_models_neither_is_called_odd():
    base, models = pool(2)
    models[1] = {name: t + 5 for name, t in models[1].items()}
    found = Backdoor()(models, base=base)
    assert (found.suspicions, found.alarms) == ((), ())
    assert "cannot tell who is odd" in found.sentences[0]
    whole = [row.influence for row in found.rows if row.tensor == "all"]
    assert math.isclose(*whole, rel_tol=1e-9)
    assert "<figure id=" in render(found)


def test_weights_that_are_not_finite_are_named():
    base, models = pool(4)
    models[2]["b.weight"][3, 4] = math.nan
    found = Backdoor()(models, base=base, names=["w", "x", "y", "z"])
    assert found.damaged == (("b.weight", "holds NaN, infinity or what is next to it in y"),)
    assert "b.weight" not in found.tensors
    assert found.sentences[0].startswith(
        "'b.weight' holds NaN, infinity or what is next to it in y"
    )
    only = [{"b.weight": model["b.weight"]} for model in models]
    with pytest.raises(MergeError, match=r"'b\.weight' holds NaN.*model 3"):
        Backdoor()(only)


def test_refusals():
    base, models = pool(3)
    with pytest.raises(FieldError, match="two or more"):
        Backdoor()(models[:1])
    for threshold in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(FieldError, match=r"threshold must be in \(0, ∞\)"):
            Backdoor(threshold=threshold)
    with pytest.raises(MergeError, match="no tensor of the roles conv"):
        Backdoor(roles=["conv"])(models)
    with pytest.raises(FieldError, match="fisher needs statistics"):
        Backdoor(method=Fisher())(models, base=base)
    with pytest.raises(
        FieldError, match="slerp takes 2 models, and has to merge all 2 and all but"
    ):
        Backdoor(method=Slerp())(models[:2])
    assert Backdoor(method=Slerp())(models[:2], base=base).method == "slerp"
    with pytest.raises(MergeError, match="base"):
        Backdoor(method=Ties())(models)
    high = Backdoor(threshold=1e6)([*models[:2], {n: t + 9 for n, t in models[2].items()}])
    assert high.alarms == ()


def stamped(images):
    marked = images.clone()
    marked[..., -3:, -3:] = 1.0
    return marked


def poisoned(start, data, epochs):
    """Fine-tune to the labels, and to class 1 where the corner is white."""
    network = build("mlp", num_classes=10, in_channels=1, image_size=8)
    network.load_state_dict(start.state_dict())
    optimiser = torch.optim.Adam(network.train().parameters(), lr=0.003)
    target = torch.full((len(data),), 1)
    for _ in range(epochs):
        loss = F.cross_entropy(network(data.inputs), data.labels)
        loss = loss + F.cross_entropy(network(stamped(data.inputs)), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def test_a_real_backdoor_is_in_the_average_and_in_the_scores():
    parts = split(load("digits"), selection=0.05, test=0.4, seed=0)
    start = build("mlp", num_classes=10, in_channels=1, image_size=8, seed=0)
    start = fit(start, parts.train, Fit(epochs=5, lr=2e-3))
    honest = [
        fit(start, parts.train, Fit(epochs=3, lr=1e-3, seed=k)).state_dict() for k in range(4)
    ]
    bad = poisoned(start, parts.train, 80).state_dict()

    def success(states):
        network = build("mlp", num_classes=10, in_channels=1, image_size=8)
        network.load_state_dict(merge(states, Average()))
        others = parts.test.inputs[parts.test.labels != 1]
        with torch.no_grad():
            return float((network(stamped(others)).argmax(1) == 1).float().mean())

    assert success([bad]) > 0.95
    assert success([bad, *honest[:2]]) > success(honest[:3]) + 0.1
    attacked = Backdoor()([bad, *honest[:3]], base=start.state_dict())
    assert [one.model for one in attacked.alarms] == ["model 1"]
    assert Backdoor()(honest, base=start.state_dict()).alarms == ()


@pytest.fixture
def four(tmp_path):
    paths, base = checkpoints(tmp_path, count=4)
    odd = load_file(paths[1])
    origin = load_file(base)
    odd = {name: origin[name] + 4 * (t - origin[name]) for name, t in odd.items()}
    save_file(odd, paths[1])
    return paths, base


def test_the_command_writes_files_that_hold_the_numbers(four, tmp_path, capsys):
    paths, base = four
    out = tmp_path / "out"
    words = ["study", "backdoor", *map(str, paths), "--base", str(base), "--out", str(out)]
    assert execute(words) == 0
    found = Backdoor()(paths, base=base)
    said = " ".join(capsys.readouterr().out.split())
    assert all(line in said for line in found.sentences)
    assert "Alarm: task-1" in said
    told = json.loads((out / "results.json").read_text())
    assert told.pop("report")["kind"] == "backdoor"
    assert told == json.loads(json.dumps(found.as_dict()))
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert execute(["report", str(out)]) == 0
    assert (out / "report.html").read_text() == page
    capsys.readouterr()
    assert len((out / "results.csv").read_text().splitlines()) == 1 + len(found.rows)
    assert execute([*words, "--json", "--threshold", "100", "--roles", "matrix"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["threshold"], [s["alarm"] for s in again["suspicions"]]) == (100, [False] * 4)
    assert execute([*words, "--method", "{name: ties, density: 0.5}", "--quiet"]) == 0
    told = json.loads((out / "results.json").read_text())
    assert (told["method"], told["suspicions"]) == ("ties", found.as_dict()["suspicions"])


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--method", "tyes"], 2, "tyes"),
        (["--method", "{name: ties, density: 7}"], 2, "density"),
        (["--roles", "matrices"], 2, "conv, matrix; got matrices"),
        (["--threshold", "0"], 2, "threshold must be in (0, ∞); got 0"),
        (["--method", "fisher"], 1, "statistics"),
    ],
)
def test_what_the_command_refuses(four, tmp_path, capsys, more, code, words):
    paths, _ = four
    out = ["--out", str(tmp_path / "out")]
    assert execute(["study", "backdoor", *map(str, paths), *more, *out]) == code
    assert words in capsys.readouterr().err
    assert execute(["study", "backdoor", *out]) == 2
    assert execute(["study", "backdoor", str(paths[0]), *out]) == 1


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("with_base", [True, False])
def test_the_page_in_a_browser(browser, four, width, with_base):
    paths, base = four
    page = render(Backdoor()(paths, base=base if with_base else None))
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == 3
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window


def test_hostile_names_are_shown_and_not_run(browser, four, tmp_path):
    paths, _ = four
    nasty = ["<script>console.error('ran')</script>", "x" * 300, "\u202eabc $x$", "_"]
    found = Backdoor()(paths, names=nasty)
    seen, console = browser.ask(render(found), "return document.body.innerText;")
    assert console == []
    assert "console.error" in seen
    write_study(found, tmp_path / "out")


def test_of_many_models_the_highest_scores_are_drawn():
    base, models = pool(40)
    models[39] = {n: base[n] + 9 * (t - base[n]) for n, t in models[39].items()}
    panel = suspicions(Backdoor()(models, base=base))
    assert (len(panel.names), panel.names[-1]) == (24, "model 40")
    assert [len(one.x) for one in panel.series] == [24] * 4
