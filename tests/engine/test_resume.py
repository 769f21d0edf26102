"""A merge that was killed, wherever that was, is continued to the same bytes."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stockpot import system
from stockpot.checkpoints.writing.journal import Journal, read_journal
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.errors import OutputError
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.system import linux

TIES = {"name": "ties", "density": 0.3, "trim": "model"}
SMALL = {"memory": "4MiB", "workers": 2}
SHARDS = {"output": {"shard_size": 600_000}}
Tree = Callable[[Path], dict[str, bytes]]
Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def whole(driver: Any, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The report and the tree of an unbroken run, once for each recipe."""
    known: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {}

    def run(recipe: dict[str, Any], name: str = "out") -> tuple[dict[str, Any], dict[str, bytes]]:
        key = json.dumps([recipe, name])
        if key not in known:
            out = tmp_path_factory.mktemp("whole") / name
            report = driver.run(recipe, out, options=SMALL)
            assert report["status"] == 0
            assert "error" not in report, report
            known[key] = report, tree(out)
        return known[key]

    return run


def moments(operations: int, count: int, seed: int) -> list[int]:
    """Operations at which to kill: random ones, and the last, where the commit is."""
    drawn = random.Random(seed).sample(range(2, operations + 1), count - 1)
    return [*sorted(drawn), operations]


@pytest.mark.parametrize("name", ["out", "out.safetensors"])
@pytest.mark.parametrize("method", ["average", TIES], ids=["average", "ties"])
def test_ten_kills_resume_to_the_same_bytes(
    name: str, method: object, recipe: Make, driver: Any, tree: Tree, whole: Any, tmp_path: Path
) -> None:
    plain = recipe(method, **(SHARDS if name == "out" else {}))
    report, expected = whole(plain, name)
    for at in moments(report["operations"], 10, seed=len(name)):
        out = tmp_path / str(at) / name
        driver.killed(plain, out, at, options=SMALL)
        again = driver.run(plain, out, options=SMALL | {"resume": True})
        assert "error" not in again, (at, again)
        assert tree(out) == expected, at
        assert not out.with_name(name + ".partial").exists()


def test_every_moment_of_the_commit_resumes_to_the_same_bytes(
    recipe: Make, driver: Any, tree: Tree, whole: Any, tmp_path: Path
) -> None:
    plain = recipe(**SHARDS)
    report, expected = whole(plain)
    commit = begun(report["log"])
    assert report["operations"] - commit > 8
    for at in range(commit, report["operations"] + 1):
        out = tmp_path / str(at)
        shutil.rmtree(out, ignore_errors=True)
        driver.killed(plain, out / "out", at, options=SMALL)
        again = driver.run(plain, out / "out", options=SMALL | {"resume": True})
        assert "error" not in again, (at, again)
        assert tree(out / "out") == expected
        assert {p.name for p in out.iterdir()} == {"out"}
        assert again["merged"]["resumed"] == len(load_file_names(out / "out"))


def load_file_names(out: Path) -> list[str]:
    return list(json.loads((out / "merge.json").read_text())["tensors"])


@pytest.mark.parametrize("method", ["average", TIES], ids=["average", "ties"])
def test_several_kills_in_a_row(
    method: object, recipe: Make, driver: Any, tree: Tree, whole: Any, tmp_path: Path
) -> None:
    plain, out = recipe(method, **SHARDS), tmp_path / "out"
    report, expected = whole(plain)
    done = []
    for at in (report["operations"] // 2, 30, 85, 75):
        driver.killed(plain, out, at, options=SMALL | {"resume": True})
        lines = (tmp_path / "out.partial" / "journal").read_text().splitlines()
        done.append(len(lines) - 1)
    again = driver.run(plain, out, options=SMALL | {"resume": True})
    assert again["merged"]["resumed"] >= done[0]
    assert tree(out) == expected


@pytest.mark.parametrize("method", ["average", TIES], ids=["average", "ties"])
def test_the_resumed_run_does_less(
    method: object, recipe: Make, driver: Any, whole: Any, tmp_path: Path
) -> None:
    plain, out = recipe(method, **SHARDS), tmp_path / "out"
    report, _ = whole(plain)
    writes = [i for i, name in enumerate(report["log"], start=1) if name == "pwrite"]
    driver.killed(plain, out, writes[-2], options=SMALL | {"workers": 1})
    again = driver.run(plain, out, options=SMALL | {"resume": True})
    merged, before = again["merged"], report["merged"]
    assert 0 < merged["resumed"] < merged["tensors"]
    assert 0 < merged["bytes_written"] < before["bytes_written"]
    assert 0 < merged["bytes_read"] < before["bytes_read"]
    assert again["read"] < report["read"]
    assert again["written"] < report["written"]


def test_nothing_is_read_again_when_only_the_commit_was_missing(
    recipe: Make, driver: Any, whole: Any, tree: Tree, tmp_path: Path
) -> None:
    plain, out = recipe(TIES), tmp_path / "out"
    report, expected = whole(plain)
    driver.killed(plain, out, begun(report["log"]), options=SMALL)
    again = driver.run(plain, out, options=SMALL | {"resume": True})
    assert again["merged"]["resumed"] == again["merged"]["tensors"]
    assert again["merged"]["bytes_read"] == again["merged"]["bytes_written"] == 0
    assert tree(out)["merge.json"] == expected["merge.json"]


@pytest.mark.skipif(system.here is not linux, reason="the twin tells no boot from another")
def test_resume_without_digests_trusts_what_this_boot_wrote(
    recipe: Make, driver: Any, tree: Tree, tmp_path: Path
) -> None:
    options = SMALL | {"digest": "none"}
    report = driver.run(recipe(), tmp_path / "whole" / "out", options=options)
    driver.killed(recipe(), tmp_path / "out", report["operations"] - 20, options=options)
    again = driver.run(recipe(), tmp_path / "out", options=options | {"resume": True})
    assert again["merged"]["resumed"] > 0
    first, second = tree(tmp_path / "whole" / "out"), tree(tmp_path / "out")
    assert second["model.safetensors"] == first["model.safetensors"]
    assert second["merge.json"] == first["merge.json"]


def test_resume_without_digests_does_not_trust_another_boot(
    recipe: Make, driver: Any, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, out = SMALL | {"digest": "none"}, tmp_path / "out"
    report = driver.run(recipe(), tmp_path / "whole", options=options)
    driver.killed(recipe(), out, report["operations"] - 20, options=options)
    journal = tmp_path / "out.partial" / "journal"
    past = read_journal(journal)
    assert past is not None
    monkeypatch.setattr(system.here, "boot_id", lambda: "another")
    opened = Journal(journal, past.fingerprint, past.place, past.records.values())
    opened.close()
    monkeypatch.undo()
    again = driver.run(recipe(), out, options=options | {"resume": True})
    assert again["merged"]["resumed"] == 0
    assert tree(out)["model.safetensors"] == tree(tmp_path / "whole")["model.safetensors"]


@pytest.fixture
def interrupted(recipe: Make, driver: Any, whole: Any, tmp_path: Path) -> Path:
    """PATH of a merge that was killed when most tensors were finished."""
    plain = recipe(**SHARDS)
    report, _ = whole(plain)
    driver.killed(plain, tmp_path / "out", begun(report["log"]) - 4, options=SMALL)
    return tmp_path / "out"


def resumed(plain: dict[str, Any], out: Path, **options: Any) -> Any:
    return run_recipe(parse_recipe(plain), out, Options(memory="4MiB", resume=True, **options))


def test_a_last_line_that_was_cut_is_made_again(
    interrupted: Path, recipe: Make, whole: Any, tree: Tree
) -> None:
    journal = interrupted.with_name("out.partial") / "journal"
    text = journal.read_bytes()
    records = text.count(b"\n") - 1
    journal.write_bytes(text[:-9])
    merged = resumed(recipe(**SHARDS), interrupted)
    assert merged.resumed == records - 1
    assert tree(interrupted) == whole(recipe(**SHARDS))[1]


@pytest.mark.parametrize("what", ["nothing", "rubbish", "half a head"])
def test_a_journal_without_its_head_starts_afresh(
    what: str, interrupted: Path, recipe: Make, whole: Any, tree: Tree
) -> None:
    journal = interrupted.with_name("out.partial") / "journal"
    content = {"nothing": b"", "rubbish": b"\xff\x00[]\n[]\n", "half a head": b'{"finger'}
    journal.write_bytes(content[what])
    assert resumed(recipe(**SHARDS), interrupted).resumed == 0
    assert tree(interrupted) == whole(recipe(**SHARDS))[1]


def test_a_tensor_that_was_damaged_meanwhile_is_made_again(
    interrupted: Path, recipe: Make, whole: Any, tree: Tree
) -> None:
    partial = interrupted.with_name("out.partial")
    lines = (partial / "journal").read_text().splitlines()[1:]
    name = json.loads(lines[0])["name"]
    for shard in (partial / "out").glob("*.safetensors"):
        raw = bytearray(shard.read_bytes())
        length = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + length])
        if name in header:
            raw[8 + length + header[name]["data_offsets"][0]] ^= 1
            shard.write_bytes(raw)
    merged = resumed(recipe(**SHARDS), interrupted)
    assert merged.resumed == len(lines) - 1
    assert tree(interrupted) == whole(recipe(**SHARDS))[1]


def test_a_shard_that_was_deleted_meanwhile_is_made_again(
    interrupted: Path, recipe: Make, whole: Any, tree: Tree
) -> None:
    shards = sorted((interrupted.with_name("out.partial") / "out").glob("*.safetensors"))
    assert len(shards) > 2
    shards[0].unlink()
    shards[1].write_bytes(b"short")
    merged = resumed(recipe(**SHARDS), interrupted)
    assert merged.resumed < merged.tensors
    assert tree(interrupted) == whole(recipe(**SHARDS))[1]


def test_a_file_that_does_not_belong_there_is_not_committed(
    interrupted: Path, recipe: Make, whole: Any, tree: Tree
) -> None:
    files = interrupted.with_name("out.partial") / "out"
    (files / "model.safetensors.index.json.old").write_text("{}")
    (files / "stale.json").write_text("{}")
    resumed(recipe(**SHARDS), interrupted)
    assert tree(interrupted) == whole(recipe(**SHARDS))[1]


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"method": {"name": "task-arithmetic", "scale": 0.5}}, {}),
        ({"seed": 1}, {}),
        ({"output": {"shard_size": 600_001}}, {}),
        ({"output": {"shard_size": 600_000, "dtype": "bfloat16"}}, {}),
        ({"only": ["layers.*"]}, {}),
        ({}, {"digest": "none"}),
        ({}, {"allow_non_finite": True}),
        ({}, {"key": "state_dict"}),
    ],
    ids=str,
)
def test_another_recipe_or_option_refuses_to_resume(
    change: dict[str, Any], options: dict[str, Any], interrupted: Path, recipe: Make, tree: Tree
) -> None:
    partial = interrupted.with_name("out.partial")
    before = tree(partial)
    with pytest.raises(OutputError, match=r"another recipe.*cannot be resumed.*--overwrite"):
        resumed(recipe(**SHARDS) | change, interrupted, **options)
    assert tree(partial) == before
    assert not interrupted.exists()


def test_a_changed_input_refuses_to_resume(tmp_path: Path, driver: Any) -> None:
    for name in "ab":
        save_file({"w": torch.randn(3000, 100)}, tmp_path / f"{name}.safetensors")
    plain = {"method": "average", "models": [str(tmp_path / f"{n}.safetensors") for n in "ab"]}
    log = driver.run(plain, tmp_path / "dry", options=SMALL)["log"]
    driver.killed(plain, tmp_path / "out", begun(log), options=SMALL)
    raw = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(raw)  # the same bytes: what was seen is another file
    with pytest.raises(OutputError, match="other inputs"):
        resumed(plain, tmp_path / "out")


def test_an_unfinished_merge_is_neither_continued_nor_discarded_unasked(
    interrupted: Path, recipe: Make, tree: Tree
) -> None:
    before = tree(interrupted.with_name("out.partial"))
    with pytest.raises(OutputError, match=r"unfinished merge.*--resume.*--overwrite"):
        run_recipe(parse_recipe(recipe(**SHARDS)), interrupted, Options())
    assert tree(interrupted.with_name("out.partial")) == before


def test_overwrite_discards_an_unfinished_merge(
    interrupted: Path, recipe: Make, whole: Any, tree: Tree
) -> None:
    plain = recipe(**SHARDS)
    merged = run_recipe(parse_recipe(plain), interrupted, Options(overwrite=True, memory="4MiB"))
    assert merged.resumed == 0
    assert tree(interrupted) == whole(plain)[1]


def test_resume_with_nothing_there_starts_afresh(
    recipe: Make, whole: Any, tree: Tree, tmp_path: Path
) -> None:
    merged = resumed(recipe(**SHARDS), tmp_path / "out")
    assert merged.resumed == 0
    assert tree(tmp_path / "out") == whole(recipe(**SHARDS))[1]


def test_resume_of_a_finished_merge_does_nothing(
    recipe: Make, driver: Any, tree: Tree, tmp_path: Path
) -> None:
    driver.run(recipe(), tmp_path / "out", options=SMALL)
    before = tree(tmp_path / "out")
    again = driver.run(recipe(), tmp_path / "out", options=SMALL | {"resume": True})
    assert again["merged"]["resumed"] == again["merged"]["tensors"]
    assert again["written"] == again["merged"]["bytes_read"] == 0
    assert tree(tmp_path / "out") == before


def test_resume_of_another_finished_merge_is_refused(recipe: Make, tmp_path: Path) -> None:
    run_recipe(parse_recipe(recipe()), tmp_path / "out")
    with pytest.raises(OutputError, match="exists"):
        resumed(recipe("median"), tmp_path / "out")


def test_a_file_that_was_deleted_is_made_again_though_its_sidecar_stands(
    recipe: Make, whole: Any, tree: Tree, tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    resumed(recipe(), out)
    expected = tree(out)
    out.unlink()
    assert resumed(recipe(), out).resumed == 0
    assert tree(out) == expected


def test_a_file_whose_sidecar_came_first_is_committed_by_the_resume(
    recipe: Make, driver: Any, tree: Tree, whole: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    plain = recipe()
    _, expected = whole(plain, "out.safetensors")
    dry = tmp_path / "dry" / "out.safetensors"
    for path in (dry, out):
        driver.run(recipe("median"), path, options=SMALL)
    log = driver.run(plain, dry, options=SMALL | {"overwrite": True})["log"]
    old = out.read_bytes()
    driver.killed(plain, out, after(log, "replace", 2), options=SMALL | {"overwrite": True})
    assert out.read_bytes() == old
    assert tree(out)["out.safetensors.merge.json"] == expected["out.safetensors.merge.json"]
    driver.run(plain, out, options=SMALL | {"overwrite": True, "resume": True})
    assert tree(out) == expected


def begun(log: list[str]) -> int:
    """The number of the first sync of the commit, which comes after the last tensor."""
    last = len(log) - log[::-1].index("pwrite")
    return log.index("fsync", last) + 1


def after(log: list[str], name: str, nth: int) -> int:
    """The number of the n-th operation of that name."""
    return [i for i, done in enumerate(log, start=1) if done == name][nth - 1]
