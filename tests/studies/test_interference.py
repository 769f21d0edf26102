"""The study over checkpoints: which matrices, which centres, what is refused, files and page."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from stockpot.cli.app import execute
from stockpot.errors import CheckpointError, FieldError, MergeError, NonFiniteError
from stockpot.experiments.experiment import parse_experiment
from stockpot.report import render, write_study
from stockpot.studies import Interference
from stockpot.studies.runs import models_of
from stockpot.training import train_experiment

from ..report.test_browser import FIGURES, OVERLAPS
from .making import SHAPES, checkpoints, reference

RANKS = (0.1, 0.5, 1.0)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    return checkpoints(folder)


@pytest.fixture(scope="module")
def found(three):
    paths, base = three
    return Interference(ranks=RANKS)(paths, base=base)


@pytest.mark.parametrize("centre", ["average", "base"])
def test_every_matrix_is_as_the_reference_has_it(three, found, centre):
    paths, base = three
    models, start = [load_file(p) for p in paths], load_file(base)
    for name, shape in SHAPES.items():
        rows = [m[name].double() for m in models]
        middle = start[name].double() if centre == "base" else torch.stack(rows).mean(0)
        wanted, entropies = reference([(row - middle).numpy() for row in rows], RANKS)
        mine = [p for p in found.points if (p.tensor, p.centre) == (name, centre)]
        assert [(p.rows, p.columns) for p in mine] == [shape] * 3
        for point, (inter, residual, overlap) in zip(mine, wanted, strict=True):
            assert point.interference == pytest.approx(inter, rel=1e-3)
            assert point.residual == pytest.approx(residual, rel=1e-3, abs=1e-9)
            assert point.overlap == pytest.approx(overlap, rel=1e-3)
        ranks = [s.effective_rank for s in found.spectra if (s.tensor, s.centre) == (name, centre)]
        assert ranks == pytest.approx(entropies, rel=1e-3)


def test_all_is_the_mean_over_matrices_and_left_out_is_of_the_whole_square(found):
    for whole in found.overall("base"):
        mine = [p for p in found.points if p.centre == "base" and p.rank == whole.rank]
        mine = [p for p in mine if p.tensor != "all"]
        assert whole.interference == pytest.approx(sum(p.interference for p in mine) / 2)
        assert whole.residual == pytest.approx(sum(p.residual for p in mine))
        squares = math.fsum(s.norm**2 for s in found.spectra if s.centre == "base")
        assert whole.relative == pytest.approx(whole.residual / squares)
    assert found.overall("average")[-1].residual == pytest.approx(0, abs=1e-9)


def test_pairs_add_up_to_the_whole(found):
    for whole in found.overall("average"):
        pairs = [p for p in found.pairs if (p.centre, p.rank) == ("average", whole.rank)]
        assert {(p.one, p.other) for p in pairs} == {
            ("task-0", "task-1"), ("task-0", "task-2"), ("task-1", "task-2")
        }  # fmt: skip
        assert 2 * sum(p.interference for p in pairs) == pytest.approx(whole.interference)


def test_two_models_share_one_row_space_around_their_average(three):
    paths, _ = three
    two = Interference(ranks=RANKS)(paths[:2])
    assert [p.overlap for p in two.overall("average")] == pytest.approx([1, 1, 1])
    norms = [s.norm for s in two.spectra]
    assert norms[0::2] == pytest.approx(norms[1::2], rel=1e-5)
    assert any("opposite" in sentence for sentence in two.sentences)


def test_the_result_does_not_depend_on_workers_and_memory(three, found):
    paths, base = three
    seen = []
    again = Interference(ranks=RANKS)(
        paths,
        base=base,
        workers=2,
        memory="64kB",
        progress=lambda what, done: seen.append((what, done)),
    )
    assert again == found
    assert {what for what, _ in seen} == set(SHAPES)
    assert seen[-1][1] == pytest.approx(1.0)


def test_the_matrices_are_those_of_cart(three):
    paths, _ = three
    every = Interference(ranks=RANKS, tensors="matrices")(paths, private=["head.weight"])
    assert {p.tensor for p in every.points} == {"all", *SHAPES}
    own = Interference(ranks=RANKS, tensors="matrices")(paths)
    assert "head.weight" in {p.tensor for p in own.points}
    assert "1 matrices, such as head.weight" in dict(own.facts)["alike in all models"]
    one = Interference(ranks=RANKS, sample=1)(paths)
    assert {p.tensor for p in one.points} == {"all", next(iter(SHAPES))}
    assert "1 of their 2 matrices" in dict(one.facts)["tensors"]


def test_query_key_and_value_can_be_split(tmp_path):
    shapes = {"blocks.0.attn.qkv.weight": (12, 4)}
    paths, _ = checkpoints(tmp_path, shapes=shapes)
    split = Interference(ranks=RANKS, qkv="split")(paths)
    names = [f"blocks.0.attn.qkv.weight[{b}]" for b in range(3)]
    assert list(dict.fromkeys(p.tensor for p in split.points)) == ["all", *names]
    models = [load_file(p)["blocks.0.attn.qkv.weight"][4:8].double() for p in paths]
    middle = torch.stack(models).mean(0)
    wanted, _ = reference([(m - middle).numpy() for m in models], RANKS)
    mine = [p.interference for p in split.points if p.tensor == names[1]]
    assert mine == pytest.approx([one for one, _, _ in wanted], rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes(tmp_path, dtype):
    paths, base = checkpoints(tmp_path, dtype=dtype)
    found = Interference(ranks=RANKS)(paths, base=base)
    assert all(math.isfinite(p.interference) for p in found.points)


def test_what_cannot_be_studied_is_refused_in_words(three, tmp_path):
    paths, _ = three
    with pytest.raises(FieldError, match="two or more; got 1"):
        Interference()(paths[:1])
    with pytest.raises(FieldError, match=r"\(0, 1\]; got 1.5"):
        Interference(ranks=[1.5])(paths)
    with pytest.raises(FieldError, match=r"whole number in \[1"):
        Interference(sample=0)(paths)
    with pytest.raises(MergeError, match=r"needs .*for 3 models at rank 1; memory is"):
        Interference()(paths, memory="1kB")
    bad = load_file(paths[0])
    bad["blocks.0.attn.weight"][0, 0] = float("nan")
    save_file(bad, tmp_path / "bad.safetensors")
    with pytest.raises(NonFiniteError, match=r"bad\.safetensors holds NaN"):
        Interference()([*paths, tmp_path / "bad.safetensors"])
    del bad["blocks.0.attn.weight"]
    save_file(bad, tmp_path / "less.safetensors")
    with pytest.raises(MergeError, match=r"blocks\.0\.attn\.weight"):
        Interference()([*paths, tmp_path / "less.safetensors"])
    with pytest.raises(MergeError, match=r"the base .*less\.safetensors lacks it"):
        Interference()(paths, base=tmp_path / "less.safetensors")


def test_the_command_writes_files_that_hold_the_numbers(three, found, tmp_path, capsys):
    paths, base = three
    out = tmp_path / "out"
    words = ["study", "interference", *map(str, paths), "--base", str(base), "--out", str(out)]
    assert execute([*words, "--ranks", "0.1,0.5,1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "around the base" in said
    assert found.sentences[0] in said
    told = json.loads((out / "results.json").read_text())
    assert told["points"] == found.as_dict()["points"]
    lines = (out / "results.csv").read_text().splitlines()
    assert len(lines) == 1 + len(found.points)
    assert lines[0].startswith("tensor,rows,columns,centre,rank,count,interference")
    assert execute([*words, "--json", "--ranks", "0.1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["spectra"][0]["effective_rank"] is None
    assert "<html" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["study", "interference", "--out", "o"], 2, "no model given"),
        (["study", "interference", "a", "b", "--out", "o", "--ranks", "2"], 2, r"(0, 1]; got 2"),
        (["study", "interference", "a", "b", "--out", "o", "--ranks", "x"], 2, "(0, 1]"),
        (["study", "interference", "no-a", "no-b", "--out", "o"], 1, "no-a"),
        (["study", "interferense", "--out", "o"], 2, "interferense"),
    ],
)
def test_a_wrong_command_line_is_told_so(words, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert execute(words) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_the_ingredients_of_a_run(tmp_path, capsys):
    run = tmp_path / "run"
    tasks = [
        {"name": "plain", "data": "digits", "limit": 100},
        {"name": "dark", "data": "digits", "limit": 100, "invert": True},
    ]
    experiment = {
        "network": {"name": "mlp", "width": 8, "depth": 2},
        "tasks": tasks,
        "split": {"selection": 0.2, "test": 0.5},
        "ingredients": {"epochs": 1, "pretrain": {"epochs": 1}},
        "compare": {"seeds": 2},
    }
    train_experiment(parse_experiment(experiment), run)
    given = models_of([run])
    assert given.names == ("plain", "dark")
    assert given.base == run / "pool-0" / "base.safetensors"
    assert "2 pools; this is" in given.note
    second = models_of([run], pool=1)
    assert (second.base, second.note) == (run / "pool-1" / "base.safetensors", "")
    with pytest.raises(CheckpointError, match="no pool of seed 7; there are 0, 1"):
        models_of([run], pool=7)
    with pytest.raises(FieldError, match="these are checkpoints"):
        models_of([run / "pool-0" / "plain.safetensors"], pool=0)
    words = ["study", "interference", str(run), "--out"]
    assert execute([*words, str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert told["tasks"] == ["plain", "dark"]
    assert told["centres"] == ["average", "base"]
    assert not any(p["tensor"].startswith("head") for p in told["points"])
    before = (run / "experiment.json").read_bytes()
    capsys.readouterr()
    assert execute([*words, str(run)]) == 1
    assert "run of an experiment" in capsys.readouterr().err
    assert (run / "experiment.json").read_bytes() == before
    (run / "experiment.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no list of an experiment"):
        models_of([run])


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(browser, found, width):
    page = render(found)
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == 4
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window


def test_hostile_names_are_shown_and_not_run(browser, three, tmp_path):
    paths, _ = three
    nasty = ["<script>console.error('ran')</script>", "x" * 300, "\u202eabc $x$"]
    study = Interference(ranks=RANKS)(paths, names=nasty)
    seen, console = browser.ask(render(study), "return document.body.innerText;")
    assert console == []
    assert "console.error" in seen
    write_study(study, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").stat().st_size < 3e6
