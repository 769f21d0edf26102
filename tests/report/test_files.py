"""Pages come from what was written, so they can be made again; what is no results file is told."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stockpot.cli.app import execute
from stockpot.errors import CheckpointError, StockpotError
from stockpot.report import rebuild
from stockpot.report.files import write
from stockpot.report.kinds import KINDS
from stockpot.values.from_plain_data import read_result
from stockpot.values.to_plain_data import plain_array, plain_values

from .every import EVERY, HOSTILE


@pytest.mark.parametrize("kind", EVERY)
def test_a_page_is_made_again_to_the_same_bytes(tmp_path, kind):
    result = EVERY[kind](HOSTILE)
    write(result, tmp_path, "stockpot x")
    page = (tmp_path / "report.html").read_bytes()
    assert "stockpot x" in page.decode()
    told = json.loads((tmp_path / "results.json").read_text())
    assert KINDS[told["report"]["kind"]].result is type(result)
    for given_ in (tmp_path, tmp_path / "results.json"):
        (tmp_path / "report.html").unlink()
        assert rebuild(given_) == tmp_path / "report.html"
        assert (tmp_path / "report.html").read_bytes() == page
    day = told["report"]["date"]
    assert day in page.decode()  # of the run, which a page made later shows too


@pytest.mark.parametrize("kind", EVERY)
def test_what_was_read_is_written_alike(kind):
    """Nothing that a results file says is lost by reading it."""
    told = json.loads(json.dumps(EVERY[kind](HOSTILE).as_dict()))
    again = read_result(type(EVERY[kind]()), told)
    assert json.loads(json.dumps(again.as_dict())) == told


def test_the_command_makes_the_page_again(tmp_path, capsys):
    write(EVERY["scopes"](), tmp_path)
    page = (tmp_path / "report.html").read_text()
    (tmp_path / "report.html").write_text("")
    assert execute(["report", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"page": str(tmp_path / "report.html"), "bytes": len(page.encode())}
    assert (tmp_path / "report.html").read_text() == page
    assert execute(["report", str(tmp_path)]) == 0
    assert "report.html is made again." in " ".join(capsys.readouterr().out.split())


def test_a_page_that_is_made_again_loads_neither_libraries_nor_the_lab(tmp_path):
    write(EVERY["comparison"](), tmp_path)
    code = (
        "import sys; from stockpot.cli.app import execute; code = execute(sys.argv[1:]);"
        "print(code, *[n for n in ('timm', 'transformers', 'torchmetrics') if n in sys.modules],"
        "*[n for n in sys.modules if n.startswith(tuple(f'stockpot.{room}.' for room in"
        "('data', 'networks', 'experiments', 'training', 'factors', 'evaluation', 'federated')))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(tmp_path), "--quiet"],
        capture_output=True,
        text=True,
        check=True,
    )
    code, *loaded = done.stdout.splitlines()[-1].split()
    assert code == "0"
    results = ("evaluation.results", "evaluation.scores", "federated.rounds")
    results += ("evaluation.results.comparison", "evaluation.results.intervals")
    results += ("evaluation.results.estimator",)
    results += ("evaluation.scores.dispersion", "federated.figures", "federated.page")
    results += ("federated.result", "federated.rounds.finished", "federated.rounds.messages")
    assert {name.removeprefix("stockpot.") for name in loaded} == set(results)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is damaged: "),
        ("[1, 2]", "does not say what kind of results it has"),
        ("[" * 100_000, "is damaged: "),
        ('{"report": {"kind": [], "command": "", "stockpot": ""}}', "does not say what kind"),
        ('{"report": {"kind": "scopes", "command": 1, "stockpot": ""}}', "does not say what kind"),
        ('{"study": "scopes", "title": "t"}', "it is of an older stockpot, or of another program"),
        (
            '{"report": {"kind": "tarot", "command": "", "stockpot": "9.9"}}',
            "has results of the kind 'tarot', by stockpot 9.9",
        ),
        (
            '{"report": {"kind": "scopes", "command": "", "stockpot": "0.0.1"}}',
            r"by stockpot 0\.0\.1\): title is required, and 6 more",
        ),
    ],
)
def test_what_is_no_results_file_is_told_and_the_old_page_stays(tmp_path, capsys, text, words):
    (tmp_path / "results.json").write_text(text)
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(CheckpointError, match=words):
        rebuild(tmp_path)
    assert execute(["report", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text() == "old"


def test_a_damaged_value_is_told_with_its_place(tmp_path):
    write(EVERY["conflicts"](), tmp_path)
    file = tmp_path / "results.json"
    told = json.loads(file.read_text())
    told["pairs"][1]["cosine"] = "<b>x</b>"
    file.write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=r"pairs\[1\]\.cosine must be a number; got '<b>x"):
        rebuild(tmp_path)


def test_values_that_do_not_go_together_are_told(tmp_path):
    write(EVERY["diagnosis"](), tmp_path)
    file = tmp_path / "results.json"
    told = json.loads(file.read_text())
    told["models"] = told["models"][:1]
    file.write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="is damaged: what it says does not go together"):
        rebuild(tmp_path)


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no results\.json"):
        rebuild(tmp_path)
    with pytest.raises(CheckpointError, match="is no run"):
        rebuild(tmp_path / "report.html")


class Pair(NamedTuple):
    left: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Leaf:
    name: str
    kind: Literal["a", "b"]
    score: float
    count: int
    sure: bool
    maybe: float | None
    any_of: float | int | bool | str | None
    pair: tuple[str, int]
    many: tuple[tuple[float, ...], ...]
    by_name: dict[str, Pair]
    by_number: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tree:
    leaves: tuple[Leaf, ...]
    only: Leaf | None = None


numbers = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.builds(
    Leaf,
    name=st.text(),
    kind=st.sampled_from("ab"),
    score=numbers,
    count=st.integers(),
    sure=st.booleans(),
    maybe=st.none() | numbers,
    any_of=st.none() | st.booleans() | st.integers() | numbers | st.text(),
    pair=st.tuples(st.text(), st.integers()),
    many=st.lists(st.lists(numbers).map(tuple)).map(tuple),
    by_name=st.dictionaries(st.text(), st.builds(Pair, numbers, numbers)),
)
trees = st.builds(Tree, leaves=st.lists(leaves, max_size=3).map(tuple), only=st.none() | leaves)


def as_json(value):
    from dataclasses import asdict

    return json.loads(json.dumps(plain_values(asdict(value)), allow_nan=False))


@given(trees)
def test_what_was_written_is_read_back(tree):
    assert read_result(Tree, as_json(tree)) == tree


LEAF = Leaf(
    name="n", kind="a", score=1.0, count=2, sure=True, maybe=None, any_of=3, pair=("p", 1),
    many=((1.0,),), by_name={"k": Pair(0.0, 1.0)},
)  # fmt: skip


def test_what_is_not_finite_comes_back_as_not_a_number():
    wild = replace(LEAF, score=-math.inf, many=((math.nan, 1.0),), by_name={"k": Pair(math.inf, 0)})
    back = read_result(Leaf, as_json(wild))
    assert math.isnan(back.score)
    assert math.isnan(back.many[0][0])
    assert math.isnan(back.by_name["k"].left)
    assert back.many[0][1] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "1"}, "score must be a number; got '1'"),
        ({"score": 10**400}, r"score must be a number that a float holds; got 10+\.\.\."),
        ({"score": True}, "score must be a number; got True"),
        ({"count": 1.5}, r"count must be a whole number; got 1\.5"),
        ({"sure": 1}, "sure must be true or false; got 1"),
        ({"kind": "c"}, "kind must be one of 'a', 'b'; got 'c'"),
        ({"pair": ["p"]}, "pair must be 2 values; there are 1"),
        ({"many": [[1.0], [None, []]]}, r"many\[1\]\[1\] must be a number; got a list"),
        ({"by_name": {"k": 1}}, r"by_name\.k must be a list; got 1"),
        ({"by_number": {"one": "a"}}, "by_number.one must be a whole number; got 'one'"),
        ({"by_name": []}, "by_name must be a mapping; got a list"),
        ({"name": "x" * 0, "maybe": "m"}, "maybe must be a number, or nothing; got 'm'"),
        ({"any_of": []}, "any_of must be a number, or .*, or text, or nothing; got a list"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(change, words):
    with pytest.raises(StockpotError, match=rf"^{words}\.?$"):
        read_result(Leaf, as_json(LEAF) | change)


def test_a_field_with_a_default_may_be_missing_and_keys_of_no_field_are_left():
    assert read_result(Tree, {"leaves": [], "later": 1}) == Tree(leaves=())
    with pytest.raises(StockpotError, match="leaves is required"):
        read_result(Tree, {})
    with pytest.raises(StockpotError, match="the whole must be a mapping; got 3"):
        read_result(Tree, 3)


@dataclass(frozen=True)
class Pictured:
    values: NDArray[np.float32]


def test_arrays_come_back_to_the_bit():
    values = np.random.default_rng(0).standard_normal((2, 1, 3)).astype(np.float32)
    values[0, 0, 0] = np.nan
    back = read_result(Pictured, as_json(Pictured(values))).values
    assert back.dtype == np.float32
    assert back.tobytes() == values.tobytes()
    for wrong in (3, {}, {"shape": [2], "float32": "AAAA"}, {"shape": [1], "float32": "?"}):
        with pytest.raises(StockpotError, match="values: no array"):
            read_result(Pictured, {"values": wrong})
    with pytest.raises(ValueError, match="no array"):
        plain_array(None)
