import csv
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from stockpot.errors import ExtraError, OutputError, StockpotError
from stockpot.evaluation.results.intervals import Difference, Interval
from stockpot.report import render_page, write_report
from stockpot.report.page import how_it_was_measured

from .making import PARTS, SCENARIOS, comparison, confusion, grid, row, single_count, verdict, whole


def small(**changes):
    """Every part, but few rows: it renders fast."""
    return whole([row(n=2), row(n=3)], **changes)


class Page(HTMLParser):
    """Headings, tables as lists of rows of texts, and the tags that are open nowhere."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text):
        super().__init__()
        self.headings, self.tables, self.open, self.tags, self.ids = [], [], [], [], []
        self.text = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag in ("h1", "h2"):
            self.headings.append("")
        elif tag == "small":
            self.tables[-1][-1][-1] += "|"

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings[-1] += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data.strip()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_page_is_well_formed_and_stands_alone(pages, scenario):
    page = Page(pages[scenario])
    assert len(page.ids) == len(set(page.ids))
    assert not [a for _, a in page.tags if a.get("src") or a.get("href", "#")[0] not in "#d"]
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert next(a for tag, a in page.tags if tag == "html")["lang"] == "en"
    for table in page.tables:
        assert len({len(line) for line in table}) == 1
    figures = [tag for tag, _ in page.tags].count("figure")
    assert figures == [tag for tag, _ in page.tags].count("figcaption")
    assert 0 < figures <= sum(a.get("role") == "img" for _, a in page.tags)


def test_the_verdict_comes_first_and_everything_is_there(pages):
    page = pages["whole"]
    places = [page.index(words) for words in ("Soup them greedily", "(p = 0.008)", "<table")]
    assert places == sorted(places)
    assert Page(page).headings == [
        "Ten fine-tunes: soup or ensemble?",
        "Results",
        "Differences",
        "Figures",
        "Costs",
        "Greedy decisions",
        "Mistakes",
        "This run",
        "What the names mean",
        "How it was measured",
    ]


def main_table(text):
    return next(one for one in Page(text).tables if any(h.startswith("N = ") for h in one[0]))


def test_the_main_table_has_the_numbers_of_the_rows_the_best_first(pages):
    rows = {
        (one.n, one.method): one
        for one in grid()
        if (one.metric, one.split, one.seed) == ("accuracy", "test", -1)
    }
    table = main_table(pages["whole"])
    assert table[0] == ["method", *(f"N = {n}" for n in (2, 3, 5, 7, 10)), "evaluations"]
    seen = 0
    for line in table[1:]:
        for n, entry in zip((2, 3, 5, 7, 10), line[1:], strict=False):
            one = rows[n, line[0].partition("|")[0]]
            value, low, high = (f"{100 * part:.1f}" for part in (one.value, one.low, one.high))
            assert entry == f"{value}|{low} to {high}"
            seen += 1
    assert seen == len(rows) == 55
    last = [float(line[5].partition("|")[0]) for line in table[1:]]
    assert last == sorted(last, reverse=True)
    assert "logits-ensemble|best here" in [line[0] for line in table]
    assert "Uni Soup" in pages["whole"].partition('id="glossary"')[2]


def test_views_have_a_table_and_differences_of_their_own(pages):
    page = Page(pages["shifted"])
    assert "Parts and views of the test split" in page.headings
    seen, further = (one for one in page.tables if one[0][2:4] == ["whole", "twitter"])
    assert seen[0] == ["method", "N", "whole", *PARTS]
    assert {line[1] for line in seen[1:]} == {"10"}
    assert {line[1] for line in further[1:]} == {"2", "5"}
    found = next(one for one in page.tables if one[0][0] == "part")
    assert found[0] == ["part", "method", "minus", "N", "difference, points", "told apart"]
    assert len(found) == 1 + 5 * 3
    plain = [one for one in page.tables if one[0][:2] == ["method", "minus"]]
    # What the verdict rests on, the largest N, the smaller one.
    assert [len(one) for one in plain] == [1 + 2, 1 + 3, 1 + 3]


def test_a_sweep_names_network_and_data_in_every_row(pages):
    assert main_table(pages["sweep"])[0][:3] == ["network", "data", "method"]


def test_pools_that_were_not_averaged_have_rows_of_their_own():
    rows = [row(n=n, value=0.1 * n + 0.01 * seed, seed=seed) for n in (2, 3) for seed in (0, 1)]
    table = main_table(render_page(comparison(rows)))
    assert [line[:3] for line in table[1:]] == [
        ["uniform-soup", "1", "all"],
        ["uniform-soup", "0", "all"],
    ]


def test_the_verdict_has_a_table_of_what_was_tested_and_pairs_one_of_their_own(pages):
    table = Page(pages["whole"]).tables
    rests, pairs, _ = (one for one in table if one[0][1] == "minus")
    assert rests[0] == ["method", "minus", "difference, points", "claim", "p", "shown"]
    within = "within 0.5 points of logits-ensemble or better"
    assert rests[1:] == [
        [
            "greedy-soup",
            "single-best",
            "+1.2|0.4 to 2.0",
            "better than single-best",
            "0.008",
            "yes",
        ],
        ["greedy-soup", "logits-ensemble", "-0.9|-1.8 to 0.1", within, "0.090", "no"],
    ]
    assert pairs[0] == ["method", "minus", "N", "difference, points", "p, corrected", "told apart"]
    assert pairs[1:] == [["uniform-soup", "single-mean", "10", "+0.8|0.1 to 1.5", "0.080", "no"]]


def test_a_verdict_of_earlier_versions_has_no_claims():
    old = replace(verdict(), claims=(), best="")
    found = Page(render_page(whole(verdict=old))).tables
    rests = next(one for one in found if one[0][1] == "minus")
    assert rests[0] == ["method", "minus", "difference, points", "p", "shown"]


@pytest.mark.parametrize(
    ("part", "empty", "gone"),
    [
        ("costs", (), "MAC per sample"),
        ("decisions", (), 'id="greedy"'),
        ("decisions", (), 'id="figure-decisions"'),
        ("confusion", None, 'id="figure-confusion"'),
        ("confusion", None, 'id="mistakes"'),
        ("facts", (), 'id="facts"'),
    ],
)
def test_what_is_empty_is_left_out(pages, part, empty, gone):
    assert gone in pages["whole"]
    assert gone not in render_page(small(**{part: empty}))


def test_without_any_part_the_page_is_its_table():
    page = Page(render_page(comparison([row()], "Bare")))
    assert page.headings == [
        "Bare",
        "Results",
        "Figures",
        "Costs",
        "What the names mean",
        "How it was measured",
    ]
    assert 'class="verdict"' not in render_page(comparison([row()], "Bare"))


def test_without_differences_there_is_no_such_section():
    page = Page(render_page(comparison([row()])))
    assert "Differences" not in page.headings


def test_names_are_escaped_wherever_they_stand():
    nasty = "<script>alert(1)</script>\"'&"
    rows = [
        row(nasty, n=n, network=nasty, data=nasty, part=p) for n in (2, 3) for p in ("all", nasty)
    ]
    pair = Difference(nasty, nasty, Interval(0.1, 0.0, 0.2))
    said = replace(
        verdict(), choice=nasty, sentence=nasty, evidence=((pair, 0.5),), claims=(nasty,)
    )
    page = render_page(
        whole(
            rows,
            confusion=confusion((nasty, "b"), method=nasty),
            differences=(pair,),
            verdict=said,
            facts=((nasty, nasty),),
            conclusion=nasty,
        ),
        title=nasty,
    )
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    Page(page)


def test_differences_of_smaller_counts_are_folded_away(pages):
    folded = pages["whole"].partition("The same for every smaller N.")[2]
    assert "<td>no</td>" in folded.partition("</details>")[0]


def test_samples_that_were_not_finite_are_shown_beside_the_value():
    page = Page(render_page(comparison([row(non_finite=0.25)])))
    assert "; 25% not finite" in str(page.tables[0])


def test_what_is_not_finite_is_said_and_not_drawn():
    rows = [row(n=2), row(n=3), row("ties", float("nan"), n=2), row("ties", float("inf"), n=3)]
    page = render_page(comparison(rows))
    assert "not finite|no interval" in str(Page(page).tables[0])
    assert "Not drawn, because not finite: ties." in page


def test_only_what_is_not_finite_leaves_the_table():
    page = Page(render_page(comparison([row(value=float("nan"))], "Broken")))
    assert "Figures" not in page.headings
    assert len(page.tables) == 2


def test_pools_and_margin_are_explained_as_they_are():
    pooled, single = how_it_was_measured(whole()), how_it_was_measured(single_count())
    assert any("means over 3 pools" in one for one in pooled)
    assert any("There is one pool" in one for one in single)
    assert not any("resample whole pools" in one for one in single)
    assert any("up to 0.5 points" in one for one in pooled)
    assert not any("margin" in one for one in how_it_was_measured(comparison([row()])))


def test_equal_comparisons_give_equal_pages(pages):
    assert render_page(whole()) == pages["whole"]


def test_a_comparison_without_rows_is_refused(tmp_path):
    with pytest.raises(StockpotError, match="nothing to show"):
        write_report(comparison([]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_jinja_the_message_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ExtraError, match=r"'jinja2' .* pip install 'stockpot\[lab\]'"):
        render_page(comparison([row()]))


def test_a_report_is_three_files(tmp_path):
    result = small()
    for _ in range(2):  # a second report replaces the first
        write_report(result, tmp_path / "deep" / "out")
    found = {path.name: path.read_text("utf-8") for path in (tmp_path / "deep" / "out").iterdir()}
    assert found.keys() == {"report.html", "results.csv", "results.json"}
    assert len(list(csv.DictReader(found["results.csv"].splitlines()))) == len(result.rows)
    read = json.loads(found["results.json"])
    assert f"{read['report']['date']}</title>" in found["report.html"]
    assert [one["value"] for one in read["rows"]] == [one.value for one in result.rows]
    assert read["verdict"]["choice"] == "greedy-soup"


def test_the_json_is_json_where_numbers_are_not_finite(tmp_path):
    rows = [row("a", float("nan")), row("b", float("inf")), row("c", float("-inf"))]
    write_report(comparison(rows), tmp_path)

    def refuse(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert [one["value"] for one in read["rows"]] == [None] * 3


def test_what_cannot_be_written_is_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write the report into .*file: "):
        write_report(small(), blocked)


def test_a_file_that_fails_leaves_nothing_half_written(tmp_path):
    (tmp_path / "results.json").mkdir()
    with pytest.raises(OutputError, match=r"cannot write the report"):
        write_report(small(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv", "results.json"}


def test_the_style_sheet_knows_dark_and_print(pages):
    page = pages["whole"]
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
