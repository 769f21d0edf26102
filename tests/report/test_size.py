"""No page is larger than 3 MB, however large the run; what was left out is said."""

import json
import re
from dataclasses import replace

import pytest

from stockpot.evaluation import Attempt
from stockpot.pages import page as filled
from stockpot.report import render_page
from stockpot.report.files import render

from .every import HOSTILE, of_conflicts, of_interference, of_scopes, of_search

TENSORS = [f"model.layers.{k}.mlp.{'x' * 200}.weight" for k in range(2100)]
MODELS = [f"model-{k}" for k in range(8)]


def many_scopes():
    small = of_scopes()
    row, fused, pair = small.rows[0], small.fused[0], small.pairs[0]
    return replace(
        small,
        models=tuple(MODELS),
        rows=tuple(
            replace(row, tensor=t, model=m, std=0.1 + k / 1e4)
            for k, t in enumerate(TENSORS)
            for m in MODELS
        ),
        fused=tuple(replace(fused, tensor=t) for t in TENSORS),
        pairs=tuple(replace(pair, tensor=t) for t in TENSORS),
    )


def many_conflicts():
    small = of_conflicts()
    pair, norm, election = small.pairs[0], small.norms[0], small.elections[0]
    names = ["all", *TENSORS]
    return replace(
        small,
        models=tuple(MODELS),
        pairs=tuple(
            replace(pair, tensor=t, one=a, other=b)
            for t in names
            for i, a in enumerate(MODELS)
            for b in MODELS[i + 1 :]
        ),
        norms=tuple(replace(norm, tensor=t, model=m) for t in names for m in MODELS),
        elections=tuple(replace(election, tensor=t) for t in names),
    )


def many_matrices():
    small = of_interference()
    return replace(
        small,
        points=(
            *(one for one in small.points if one.tensor == "all"),
            *(
                replace(one, tensor=t)
                for one in small.points
                if one.tensor == "delta"
                for t in TENSORS
            ),
        ),
        spectra=tuple(
            replace(one, tensor=t)
            for one in small.spectra
            if one.tensor == "delta"
            for t in TENSORS[:500]
        ),
    )


@pytest.mark.parametrize("make", [many_scopes, many_conflicts, many_matrices])
def test_thousands_of_tensors_of_eight_models(make):
    page = render(make())
    assert len(page.encode()) <= filled.LARGEST
    assert re.search(r"The first [\d,]+ of [\d,]+( rows)?; results\.(json|csv) has all\.", page)
    assert page.count("<figure id=") == 4


def test_marks_of_a_long_search_become_pixels(browser):
    attempts = tuple(
        Attempt(
            method="ties",
            number=k,
            origin="tpe",
            score=0.5 + (k % 97) / 1000,
            leads=k == 0,
            values=tuple((f"field-{f}", (k * (f + 7) % 101) / 101) for f in range(6)),
        )
        for k in range(1500)
    )
    page = render_page(replace(of_search(), attempts=attempts))
    assert len(page.encode()) < 1e6
    assert page.count("Its marks are pixels") == 1 + 6  # the caption, and what each panel is called
    script = "return [...document.querySelectorAll('svg image')].map(one => one.getBBox().width);"
    found, console = browser.ask(page, script)
    assert console == []
    assert len(found) == 6  # a panel for each field
    assert min(found) > 10


def test_where_cut_tables_do_not_help_figures_go_and_that_is_said(monkeypatch):
    whole = render(of_scopes())
    monkeypatch.setattr(filled, "LARGEST", len(whole) - 30_000)
    page = render(of_scopes())
    assert 0 < page.count("<figure id=") < 4
    assert "Left out, because the page would be too large: the figure" in page
    monkeypatch.setattr(filled, "LARGEST", 1000)
    with pytest.raises(filled.OutputError, match=r"the page would have 0\.0 MB and may have"):
        render(of_scopes())


def test_endless_facts_are_cut_on_the_page_only():
    long = ", ".join(TENSORS)
    result = replace(of_scopes(), facts=(("not in the base", long),), title=HOSTILE[2] * 20)
    page = render(result)
    assert "(results.json has all)" in page
    assert len(page) < 200_000
    assert long in json.dumps(result.as_dict())
