"""What the tutorials say is carried out, block by block, in their order."""

import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from stockpot.cli.app import execute
from stockpot.methods import METHODS

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"((?:[^\n]+\n)*)\n```(python|yaml|console)\n(.*?)```", re.S)
NEEDS = {"lightning": ("lightning",), "text": ("optuna",)}
LONG = ("federated", "lightning", "text")


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """The language of each block, the file as which it is to be saved or '', and the block."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    names = [re.search(r"[Ss]ave as\s`([\w.]+)`", before) for before, _, _ in found]
    return [
        (kind, name[1] if name else "", text)
        for (_, kind, text), name in zip(found, names, strict=True)
    ]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of one's own, whose modules can be imported and are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == tmp_path:
            del sys.modules[name]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.full] if page.stem in LONG else [])
        for page in TUTORIALS
    ],
)
def test_a_tutorial_is_carried_out(
    page: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        if page.stem in NEEDS:  # what other libraries warn of is not ours
            warnings.simplefilter("ignore")
        for library in NEEDS.get(page.stem, ()):
            pytest.importorskip(library, reason=f"{library} is an extra and not installed")
        ran = [carry_out(page, *block, capsys) for block in blocks(page)]
    assert ran.count("console") >= 1
    assert ran.count("python") >= 1


def carry_out(
    page: Path, kind: str, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> str:
    """Save the block, or run it; which of them it was."""
    if name:
        Path(name).write_text(text, encoding="utf-8")
        return "saved"
    if kind == "python":
        exec(compile(text, str(page), "exec"), {"__name__": "tutorial"})
        return kind
    assert kind == "console", f"{page.name} has a file without a name"
    for line in text.splitlines():
        program, *written = shlex.split(line.removeprefix("$ "))
        words = [word for each in written for word in expanded(each)]
        assert program == "stockpot"
        assert execute(words) == 0, f"{line}\n{capsys.readouterr().err}"
    return kind


def expanded(word: str) -> list[str]:
    """A pattern as a shell expands it; any other word as it is."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


def test_every_tutorial_is_on_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert TUTORIALS
    assert all(f"\ntutorials/{page.stem}\n" in index for page in TUTORIALS)


def test_readme_fits_a_few_screens_and_names_every_method() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    (listed,) = re.findall(r"^Methods: (.*?)\. Each", text, re.M | re.S)
    assert set(re.split(r",\s+", listed)) == {m.called() for m in METHODS}
    assert f"| number of methods | {len(METHODS)} |" in text
    for link in re.findall(r"\]\(((?!http)[^)#]+)", text):
        assert (ROOT / link).is_file(), link
