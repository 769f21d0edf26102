"""The claims and results that the documentation shows: whole rows, commands that can be given."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from stockpot.cli import app

ROOT = Path(__file__).parents[1]
COLUMNS = ["claim", "published", "command", "ours [low, high]", "scale and deviation", "verdict"]
VERDICTS = ("holds partly", "holds", "does not hold", "artefact", "not testable")
FEWEST = 37


def lines() -> list[list[str]]:
    """The cells of every line of the table."""
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in found
    ]


ROWS = lines()[2:]


def verdict_of(row: list[str]) -> str:
    """The words that a verdict begins with, before its reason; nothing where it has no such."""
    found = re.match(rf"({'|'.join(VERDICTS)})\b", row[-1])
    return found[1] if found else ""


def shown_in_results() -> Iterator[str]:
    """The commands of docs/results.md: indented lines, with what a backslash carries on."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").replace("\\\n", " ")
    yield from (
        line.strip() for line in text.splitlines() if re.match(r" {4}(stockpot|python) ", line)
    )


CLAIMED = [command for row in ROWS for command in re.findall(r"`([^`]+)`", row[2])]
SHOWN = list(dict.fromkeys([*CLAIMED, *shown_in_results()]))


def test_there_are_claims() -> None:
    assert lines()[0] == COLUMNS
    assert len(ROWS) >= FEWEST
    assert len({row[0] for row in ROWS}) == len(ROWS)
    assert len(SHOWN) >= FEWEST


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_a_claim_is_a_whole_row(row: list[str]) -> None:
    assert len(row) == len(COLUMNS)
    assert all(row)
    assert verdict_of(row)


def test_what_cannot_be_tested_is_little_and_says_why() -> None:
    untested = [row for row in ROWS if verdict_of(row) == "not testable"]
    assert len(untested) <= 4
    for row in untested:
        assert len(row[-1].split()) > 8, row


@pytest.mark.parametrize(
    "row", [row for row in ROWS if verdict_of(row) != "not testable"], ids=lambda row: row[0][:50]
)
def test_a_claim_has_numbers_and_a_command(row: list[str]) -> None:
    assert re.search(r"\d", row[3])
    assert "`" in row[2] or row[2].startswith("the same")


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_can_be_given_as_it_is_written(command: str) -> None:
    program, *tokens = shlex.split(command, comments=True)
    for token in tokens:
        if re.search(r"\.(yml|py)$", token):
            assert (ROOT / token).is_file()
    if program == "python":
        assert tokens[0] == "-c" or tokens[0].endswith(".py")
        if tokens[0] == "-c":
            compile(tokens[1], "<command>", "exec")
        return
    assert program == "stockpot"
    # Raises for a command, a flag or a value that the command line does not know.
    app.program(tokens[0]).parse_args(tokens, exit_on_error=False, print_error=False)


def test_a_command_that_is_not_one_is_noticed() -> None:
    from cyclopts import CycloptsError

    for wrong in (["compare", "a.yml", "--outt", "RUN"], ["study", "magnitudes", "RUN"]):
        with pytest.raises(CycloptsError):
            app.program(wrong[0]).parse_args(wrong, exit_on_error=False, print_error=False)
