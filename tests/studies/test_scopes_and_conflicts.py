"""Scopes and conflicts against NumPy and the library's own functions; files, commands and pages."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stockpot.cli.app import execute
from stockpot.errors import FieldError, MergeError
from stockpot.pages.figures import shown_rows
from stockpot.report import render, write_study
from stockpot.studies import Conflicts, Scopes
from stockpot.studies.scopes.figures import normality
from stockpot.training import fuse_scopes, rescale_to_scope, scope_divergence, scope_of

from ..report.test_browser import FIGURES, OVERLAPS
from .making import checkpoints

MATRICES = ("blocks.0.attn.weight", "blocks.1.mlp.weight", "head.weight")


@pytest.fixture
def three(tmp_path):
    paths, base = checkpoints(tmp_path)
    for k, path in enumerate(paths):  # scopes that differ, and a head that moves
        model = load_file(path)
        model["head.weight"] = (1 + 0.3 * k * k) * model["head.weight"] + 0.1 * k * k
        save_file(model, path)
    return paths, base


def test_scopes_are_those_of_the_training_room(three):
    paths, base = three
    found = Scopes()(paths, base=base)
    own = [scope_of(path) for path in paths]
    assert set(found.tensors) == set(MATRICES)
    assert (found.models, found.base) == (("task-0", "task-1", "task-2"), "the base")
    rows = {(row.tensor, row.model): row for row in found.rows}
    target = fuse_scopes(own)
    for k, path in enumerate(paths):
        moved = rescale_to_scope(load_file(path), target).state
        for name in MATRICES:
            row, before = rows[name, f"task-{k}"], load_file(path)[name].double()
            assert math.isclose(row.mean, own[k][name].mean, rel_tol=1e-9, abs_tol=1e-12)
            assert math.isclose(row.std, own[k][name].std, rel_tol=1e-9)
            assert math.isclose(row.factor, target[name].std / own[k][name].std, rel_tol=1e-9)
            kl = scope_divergence(own[k][name], target[name])
            assert math.isclose(row.kl, kl, rel_tol=1e-6, abs_tol=1e-12)
            change = (moved[name].double() - before).norm() / before.norm()
            assert math.isclose(row.change, change, rel_tol=1e-4, abs_tol=1e-7)
    assert math.isclose(rows["head.weight", "the base"].std, scope_of(base)["head.weight"].std)


def test_fused_spreads_are_the_three_rules_and_that_of_the_average_itself(three):
    paths, _ = three
    own, found = [scope_of(path) for path in paths], Scopes()(paths)
    states = [load_file(path) for path in paths]
    for one in found.fused:
        for rule in ("mean", "mixture", "averaged"):
            assert math.isclose(getattr(one, rule), fuse_scopes(own, rule)[one.tensor].std)
        soup = torch.stack([state[one.tensor].double() for state in states]).mean(0)
        assert math.isclose(one.soup, float(soup.std(correction=0)), rel_tol=1e-6)
    pair = next(p for p in found.pairs if p.tensor == "head.weight" and p.other == "task-2")
    first, last = own[0]["head.weight"], own[2]["head.weight"]
    both = scope_divergence(first, last), scope_divergence(last, first)
    assert math.isclose(pair.kl, sum(both) / 2, rel_tol=1e-9)


@pytest.mark.parametrize("with_base", [True, False])
def test_conflicts_are_those_of_flat_task_vectors(three, with_base):
    paths, base = three
    found = Conflicts()(paths, base=base if with_base else None)
    states, start = [load_file(path) for path in paths], load_file(base)
    names = [one.tensor for one in found.elections]
    assert names[0] == "all"
    assert set(names[1:]) == set(start)
    flat = {}
    for name in start:
        rows = torch.stack([state[name].double().flatten() for state in states]).numpy()
        flat[name] = rows - (start[name].double().flatten().numpy() if with_base else rows.mean(0))
        flat[name][np.abs(flat[name]) < 1e-9] = 0
    flat["all"] = np.concatenate([flat[name] for name in names[1:]], axis=1)
    for pair in found.pairs:
        a, b = (flat[pair.tensor][int(name[-1])] for name in (pair.one, pair.other))
        if not (a.any() and b.any()):
            assert math.isnan(pair.cosine)
            continue
        angle = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert math.isclose(pair.cosine, angle, rel_tol=1e-5, abs_tol=1e-6)
        met = (a != 0) & (b != 0)
        if met.any():
            assert math.isclose(pair.agree, (np.sign(a) == np.sign(b))[met].mean(), abs_tol=1e-3)
        assert math.isclose(pair.expected, 1 - math.acos(pair.cosine) / math.pi)
    for one in found.norms:
        wanted = np.linalg.norm(flat[one.tensor][int(one.model[-1])])
        assert math.isclose(one.norm, wanted, rel_tol=1e-5, abs_tol=1e-6)
    signs = np.sign(flat["all"])
    up, down = (signs > 0).sum(0), (signs < 0).sum(0)
    every = found.elections[0]
    assert math.isclose(
        every.majority, np.maximum(up, down).sum() / np.abs(signs).sum(), abs_tol=1e-3
    )
    assert math.isclose(
        every.unanimous, (np.minimum(up, down) == 0)[up + down > 0].mean(), abs_tol=1e-3
    )


def test_two_models_without_a_base_are_told_that_they_are_opposite(three):
    paths, _ = three
    found = Conflicts()(paths[:2])
    angles = [pair.cosine for pair in found.pairs if math.isfinite(pair.cosine)]
    assert np.allclose(angles, -1, atol=1e-6)
    assert any("give --base" in sentence for sentence in found.sentences)


def test_copies_and_refusals(three, tmp_path):
    paths, base = three
    assert Conflicts()([base, base]).sentences == (
        "The models are copies: no task vector is longer than 0.",
    )
    assert Scopes()([base, base]).sentences
    assert len(Scopes()([base]).sentences) == 1
    with pytest.raises(FieldError, match="two or more"):
        Conflicts()(paths[:1])
    with pytest.raises(MergeError, match="no tensor of the roles conv"):
        Scopes(roles=["conv"])(paths)
    save_file({"other": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(MergeError, match="and the base"):
        Conflicts()(paths, base=tmp_path / "other.safetensors")


@pytest.mark.parametrize("name", ["scopes", "conflicts"])
def test_the_command_writes_files_that_hold_the_numbers(three, name, tmp_path, capsys):
    paths, base = three
    out = tmp_path / "out"
    words = ["study", name, *map(str, paths), "--base", str(base), "--out", str(out)]
    assert execute(words) == 0
    found = {"scopes": Scopes(), "conflicts": Conflicts()}[name](paths, base=base)
    assert found.sentences[0] in " ".join(capsys.readouterr().out.split())
    told = json.loads((out / "results.json").read_text())
    assert told["pairs"] == json.loads(json.dumps(found.as_dict()["pairs"]))
    lines = (out / "results.csv").read_text().splitlines()
    assert len(lines) == 1 + len(found.rows if name == "scopes" else found.pairs)
    assert execute([*words, "--json", "--roles", "matrix"]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == name
    assert execute([*words, "--roles", "matrices"]) == 2
    assert "embedding, vector, expert-stack, conv, matrix; got matrices" in capsys.readouterr().err
    assert execute(["study", name, "--out", str(out)]) == 2
    assert execute(["study", name, "no-model", "--out", str(out)]) == 1


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("study", [Scopes(), Conflicts()])
def test_the_pages_in_a_browser(browser, three, width, study):
    paths, base = three
    page = render(study(paths, base=base))
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == 4
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window


@pytest.mark.parametrize("study", [Scopes(), Conflicts()])
def test_hostile_names_are_shown_and_not_run(browser, three, tmp_path, study):
    paths, _ = three
    nasty = ["<script>console.error('ran')</script>", "x" * 300, "\u202eabc $x$"]
    found = study(paths, names=nasty)
    seen, console = browser.ask(render(found), "return document.body.innerText;")
    assert console == []
    assert "console.error" in seen
    write_study(found, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").stat().st_size < 3e6


def test_of_many_layers_some_are_drawn_evenly():
    made = torch.Generator().manual_seed(0)
    state = {f"blocks.{k}.weight": torch.randn(4, 5, generator=made) for k in range(90)}
    found = Scopes()([state])
    rows = shown_rows(found.tensors)
    assert (rows[0], rows[20], len(rows)) == ("blocks.0.weight", "blocks.45.weight", 40)
    assert list(normality(found).rows) == rows
