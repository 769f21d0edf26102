"""Pages of studies in a browser: every figure drawn, no label over another, nothing too wide."""

import pytest

from stockpot.pages.drawing import draw
from stockpot.report import figures, render

from ..report.test_browser import FIGURES, OVERLAPS
from .results import features, template_result

STUDIES = {
    "templates": template_result,
    "colour": lambda: template_result(channels=3, classes=4, decays=(0.1,)),
    "features": features,
    "one-pool": lambda: features(cells=("mlp",), seeds=(0,), layers=1),
}
FEWEST = {"templates": 5, "colour": 4, "features": 4, "one-pool": 4}


@pytest.mark.parametrize("name", STUDIES)
def test_the_page_in_a_browser(browser, name):
    page = render(STUDIES[name]())
    drawn, console = browser.ask(page, FIGURES)
    assert console == []
    assert len(drawn) == page.count("<figure id=") == FEWEST[name]
    assert all(instead or (width > 200 and height > 100) for _, width, height, _, instead in drawn)
    overlaps, _ = browser.ask(page, OVERLAPS)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    for width in (400, 1280):
        (window, reached), console = browser.ask(page, script, width=width)
        assert console == []
        assert reached <= window


@pytest.mark.parametrize("name", STUDIES)
def test_equal_results_give_equal_pages(name):
    page = render(STUDIES[name]())
    assert page == render(STUDIES[name]())
    assert "<script>class" not in page
    assert "<b>" not in page


def test_a_network_and_its_average_share_one_scale():
    """A template that fades is drawn paler, not stretched to the full range again."""
    result = template_result(decays=(0.1,), classes=1)
    one, merged = result.shown("linear", 0.1)
    one.values[:] = 2.0
    merged.values[:] = 1.0
    drawn = draw(figures(result)[0]).images[0].get_array()
    tiles = [drawn[y, 4] for y in range(len(drawn)) if drawn[y, 4, 3] > 0][-18:]
    full, faded = tiles[0], tiles[-1]
    assert full[:3].sum() < faded[:3].sum()  # red of full depth, then paler
    assert full[0] > full[2]
    assert faded[0] > faded[2]
