"""What README, docs/installing.md and docs/quickstart.md tell newcomers to type works."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from stockpot.cli.app import execute

ROOT = Path(__file__).parents[1]
README, INSTALLING, QUICKSTART = (
    (ROOT / name).read_text(encoding="utf8")
    for name in ("README.md", "docs/installing.md", "docs/quickstart.md")
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [README, QUICKSTART], ids=["README", "quickstart"])
def test_sixty_seconds_to_a_merge(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, *in_python = blocks(text, "python")
    Path("make_models.py").write_text(make)
    commands = [shlex.split(line) for block in blocks(text, "sh") for line in block.splitlines()]
    for words in commands:
        if words[0] == "python":
            exec(compile(Path(words[1]).read_text(), words[1], "exec"), {})
        elif words[0] == "stockpot":
            assert execute(words[1:]) == 0, capsys.readouterr().err
    assert ["verify", "soup.safetensors", "--recompute"] in [words[1:] for words in commands]
    assert "and the repeated merge gives the same bytes" in " ".join(
        capsys.readouterr().out.split()
    )
    if text == QUICKSTART:
        for code in in_python:
            exec(compile(code, "docs/quickstart.md", "exec"), {})


def test_every_extra_is_in_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    extras = set(project["optional-dependencies"])
    assert set(re.findall(r"^\| `(\w+)` \|", INSTALLING, re.MULTILINE)) == extras
    assert f"stockpot-{project['version']}-py3-none-any.whl" in INSTALLING
