"""A study of one's own, as CONTRIBUTING has it: a value, and everything else follows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
import torch
from annotated_types import Ge
from safetensors.torch import save_file

from stockpot import methods
from stockpot import studies as all_studies
from stockpot.checkpoints.roles import Role
from stockpot.cli.lab import study as commands
from stockpot.errors import CheckpointError, FieldError
from stockpot.methods import Ties
from stockpot.pages.page import Page, Section
from stockpot.pages.tables import count, table, words
from stockpot.report import files, kinds
from stockpot.studies import STUDIES, Backdoor, Interference, Magnitude
from stockpot.studies.study import MainTable, RoleName, Study, StudyOfModels, StudyResult, Subject
from stockpot.values.family import Family, plain_value
from stockpot.views.models import checkpoint_of
from stockpot.views.naming import names_of


@dataclass(frozen=True, slots=True)
class Row:
    model: str
    tensors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsResult(StudyResult):
    file_kind: ClassVar[str] = "counts"
    main_table: ClassVar[MainTable] = Row, "rows"

    title: str
    rows: tuple[Row, ...]
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(f"{row.model} has {row.tensors} tensors." for row in self.rows)


def page(result: CountsResult) -> Page:
    tensors = table(
        "Tensors",
        "How many there are.",
        result.rows,
        words("model", lambda row: row.model),
        count("tensors", lambda row: row.tensors),
    )
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(Section("results", "Results", (tensors,)),),
        figures=(),
        facts=result.facts,
        measured=(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(StudyOfModels["CountsResult"]):
    """How many tensors models have.

    Args:
        least: elements of a tensor that counts.
        words: of their names.
    """

    least: Annotated[int, Ge(1)] = 1
    words: tuple[str, ...] = ()

    def __call__(self, models, base=None, **how) -> CountsResult:
        names = names_of(models, how.get("names", ()))
        rows = [
            Row(n, self._count(checkpoint_of(m, n))) for m, n in zip(models, names, strict=True)
        ]
        return CountsResult(title="Counts", rows=tuple(rows))

    def _count(self, checkpoint) -> int:
        wanted = [e for n, e in checkpoint.entries.items() if all(w in n for w in self.words)]
        return sum(entry.numel >= self.least for entry in wanted)

    @classmethod
    def result(cls) -> type[StudyResult]:
        return CountsResult

    @classmethod
    def page(cls) -> Callable[[Any], Page]:
        return page


@pytest.fixture
def models(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for size, path in enumerate(paths, 1):
        save_file({f"layer.{i}.weight": torch.ones(i + 1) for i in range(3 * size)}, path)
    return paths


@pytest.fixture
def added(monkeypatch):
    """The study in the one tuple, and what is made of the tuple when it is imported."""
    family = Family("study", (*STUDIES, Counts), of=Study)
    monkeypatch.setattr(files, "FAMILY", family)
    monkeypatch.setattr(commands, "FAMILY", family)
    known = {**kinds.KINDS, "counts": kinds.Kind(CountsResult, page)}
    monkeypatch.setattr("stockpot.report.files.KINDS", known)
    command = commands.study_command(Counts, commands._look_at, commands._OUT)
    commands.study_app.command(command, name="counts")
    yield
    commands.study_app.__delitem__("counts")


def test_the_command_the_files_and_the_repetition_follow(added, models, tmp_path, capsys):
    from stockpot.cli.app import execute

    words = ["study", "counts", *map(str, models), "--least", "2", "--words", "layer,weight"]
    assert execute([*words, "--out", str(tmp_path / "one")]) == 0
    assert "a has 2 tensors." in capsys.readouterr().out
    told = json.loads((tmp_path / "one" / "results.json").read_text())
    assert told["report"]["study"] == {"name": "counts", "least": 2, "words": ["layer", "weight"]}
    assert told["report"]["subject"] == {"models": [str(path) for path in models]}
    assert (tmp_path / "one" / "results.csv").read_text() == "model,tensors\na,2\nb,5\n"
    again = ["study", str(tmp_path / "one" / "results.json"), "--out", str(tmp_path / "two")]
    assert execute(again) == 0
    second = json.loads((tmp_path / "two" / "results.json").read_text())
    first_head, second_head = told.pop("report"), second.pop("report")
    assert told == second
    assert first_head["study"] == second_head["study"]
    assert execute(["study", "counts", *map(str, models), "--least", "0", "--out", "x"]) == 2
    assert "counts: least must be a whole number in [1, ∞); got 0." in capsys.readouterr().err


def test_what_cannot_be_repeated_is_told(tmp_path, capsys):
    from stockpot.cli.app import execute

    (tmp_path / "results.json").write_text(
        '{"report": {"kind": "scopes", "command": "stockpot study scopes a", "stockpot": "0"}}'
    )
    with pytest.raises(CheckpointError, match=r"older stockpot\. Its command was: stockpot study"):
        files.read_made(tmp_path)
    assert execute(["study", "interferenc", "--out", "x"]) == 2
    assert "did you mean 'interference'?" in capsys.readouterr().err
    assert execute(["study", str(tmp_path / "none.json"), "--out", "x"]) == 1


@pytest.mark.parametrize(
    "study",
    [
        Interference(ranks=(0.1, 1)),
        Magnitude(counts=[2, 3], factors=[1, 90]),
        Backdoor(method=Ties(density=0.1)),
        *(cls() for cls in STUDIES),
    ],
)
def test_a_study_comes_back_from_what_a_file_has_of_it(study):
    told = json.loads(json.dumps(plain_value(study)))
    assert files.FAMILY.read(told) == study
    assert eval(repr(study), vars(methods) | vars(all_studies)) == study


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "interference", "rank": [1]}, "interference has no field 'rank': did you mean"),
        ({"name": "interferense"}, "there is no study 'interferense': did you mean 'interference'"),
        (
            {"name": "backdoor", "method": "tise"},
            "backdoor: method: there is no method 'tise': did you",
        ),
        ({"name": "interference", "ranks": [2]}, r"ranks must be a list, each in \(0, 1\]; got 2"),
        (3, "must be a study's name, or"),
    ],
)
def test_a_wrong_value_is_refused_with_the_nearest_right_one(value, words):
    with pytest.raises(FieldError, match=words):
        files.FAMILY.read(value)


def test_roles_of_a_study_are_those_of_tensors():
    assert set(RoleName.__args__) == {str(role) for role in Role if role is not Role.TIED_ALIAS}


def test_a_subject_has_what_was_given():
    assert Subject.of(["a"], "b", 3).plain() == {"models": ["a"], "base": "b", "pool": 3}
    assert Subject(source="e.yml").plain() == {"source": "e.yml"}
