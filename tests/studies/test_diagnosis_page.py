"""The page of a diagnosis in a browser: the verdict first, figures legible, names harmless."""

import math
import re

import pytest
import torch

from stockpot.report import render, write_study
from stockpot.report.files import rebuild
from stockpot.studies import diagnose

from ..report.test_browser import FIGURES, OVERLAPS
from .pools import pool, rescaled, stranger

NASTY = ["<script>console.error('ran')</script>", "x" * 300, "\u202eabc $x$", "=1+1"]


@pytest.fixture(scope="module")
def cases():
    base, models = pool()
    wide = {f"blocks.{k}.weight": torch.randn(12, 12) for k in range(60)}
    batch_norm = {"bn.running_mean": torch.zeros(48), "bn.running_var": torch.ones(48)}
    return {
        "good": diagnose(models, base),
        "strangers": diagnose([*models, stranger()], names=NASTY),
        "scales": diagnose([*models[:2], rescaled(models[2], 8.0)]),
        "different": diagnose([models[0], {"w.weight": torch.randn(9, 9)}]),
        "many": diagnose([wide | {"k": torch.full((2,), 1.0 * k)} for k in range(9)]),
        "mended": diagnose([one | batch_norm for one in models]),
        "damaged": diagnose([models[0], models[1] | {"head.bias": torch.full((10,), math.nan)}]),
    }


CASES = ("good", "strangers", "scales", "different", "many", "mended", "damaged")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(browser, cases, name, width):
    page = render(cases[name])
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == (0 if name == "different" else 3)
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_comes_first_and_pages_repeat(cases, name):
    page = render(cases[name])
    assert page == render(cases[name])
    assert "<script>console" not in page
    verdict = cases[name].verdict.split("<")[0].split(":")[0].split("'")[0]
    assert verdict in page
    assert page.index(verdict) < page.index('id="results"')


def test_captions_state_findings(cases):
    page = render(cases["strangers"])
    assert "3 of 6 pairs come from one start" in page
    assert "in grey, are not advised here" in page
    scales = render(cases["scales"])
    assert re.search(
        r"Models differ most in &#39;body\.[13]\.weight&#39;, by a factor of [78]", scales
    )


def test_the_page_is_made_again_from_its_file(cases, tmp_path):
    for name, found in cases.items():
        write_study(found, tmp_path / name, "stockpot diagnose a b")
        page = tmp_path / name / "report.html"
        before = page.read_bytes()
        assert len(before) < 3e6
        assert name == "different" or b"stockpot diagnose a b" in before
        page.unlink()
        assert rebuild(tmp_path / name).read_bytes() == before
