"""Pages of studies in a browser: every figure drawn, no label over another, nothing too wide."""

import pytest
from matplotlib.figure import Figure

from stockpot.report import render
from stockpot.studies.templates.figures import (
    plot_contrast,
    plot_pairs,
    plot_resemblance,
    plot_template_accuracy,
    plot_templates,
)
from stockpot.studies.weights_features.figures import (
    plot_activations,
    plot_distance,
    plot_feature_variance,
    plot_own,
)

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
    figures, console = browser.ask(page, FIGURES)
    assert console == []
    assert len(figures) == page.count("<figure id=") == FEWEST[name]
    assert all(width > 200 and height > 150 and words for _, width, height, words in figures)
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


@pytest.mark.parametrize(
    ("plot", "make"),
    [
        *(
            (plot, features)
            for plot in (plot_distance, plot_own, plot_activations, plot_feature_variance)
        ),
        *(
            (plot, template_result)
            for plot in (
                *(plot_templates, plot_pairs, plot_resemblance, plot_template_accuracy),
                plot_contrast,
            )
        ),
    ],
)
def test_a_plot_draws_on_axes_of_ours(plot, make):
    ax = Figure().subplots()
    assert plot(make(), ax) is ax
    assert ax.get_title(loc="left") or ax.get_title()
    assert ax.lines or ax.images


def test_a_network_and_its_average_share_one_scale():
    """A template that fades is drawn paler, not stretched to the full range again."""
    result = template_result(decays=(0.1,), classes=1)
    one, merged = result.shown("linear", 0.1)
    one.values[:] = 2.0
    merged.values[:] = 1.0
    drawn = plot_templates(result).images[0].get_array()
    tiles = [drawn[y, 4] for y in range(len(drawn)) if drawn[y, 4, 3] > 0][-18:]
    full, faded = tiles[0], tiles[-1]
    assert full[:3].sum() < faded[:3].sum()  # red of full depth, then paler
    assert full[0] > full[2]
    assert faded[0] > faded[2]
