"""Figures and tables of a run as files for a paper."""

import csv
import io

import pytest

from stockpot.cli.app import execute
from stockpot.pages.latex import escaped, latex, wide_csv
from stockpot.pages.tables import Entry, number, table, words
from stockpot.report import export, write_report

from .making import whole


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_report(whole(), folder, "stockpot compare a b")
    return folder


def test_figures_in_three_formats_repeat(run):
    first = export(run, ("svg", "pdf", "png"))
    assert {one.suffix for one in first} == {".svg", ".pdf", ".png"}
    assert {one.stem for one in first} >= {"quality", "cost", "gap", "confusion"}
    before = {one: one.read_bytes() for one in first}
    assert export(run, ("svg", "pdf", "png")) == first
    assert {one: one.read_bytes() for one in first} == before
    starts = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": bytes([0x89]) + b"PNG"}
    assert all(text.startswith(starts[one.suffix]) for one, text in before.items())


def test_the_command_writes_the_main_table(run, capsys):
    assert execute(["report", str(run), "--figures", "svg", "--latex", "--wide"]) == 0
    assert "table.tex is written" in " ".join(capsys.readouterr().out.split())
    text = (run / "table.tex").read_text()
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert r"\textbf{" in text
    rows = list(csv.DictReader(io.StringIO((run / "table.csv").read_text())))
    assert {"method", "N = 10", "N = 10, detail"} <= set(rows[0])
    best = [float(one["N = 10"]) for one in rows if one["method"] != "distilled"]
    assert best == sorted(best, reverse=True)


def test_names_are_escaped_in_latex():
    made = table(
        "A_b", "50%", [("x&y", 1.5)], words("n_k", lambda row: row[0]),
        number("v", lambda row: row[1], 3),
    )  # fmt: skip
    assert r"x\&y & 1.5 \\" in latex(made)
    assert r"\caption{A\_b. 50\%}" in latex(made)
    assert escaped("a\\b") == r"a\textbackslash{}b"
    assert wide_csv(made) == "n_k,v\nx&y,1.5\n"
    assert Entry("n" * 25).long
