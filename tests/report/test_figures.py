import sys

import pytest
from matplotlib.figure import Figure

from stockpot.errors import ExtraError
from stockpot.evaluation import Comparison, Row
from stockpot.report import plot_comparison, save_figure


def row(method, kind, value, part="all", forwards=1):
    return Row(
        n=2,
        subset=0,
        seed=0,
        method=method,
        kind=kind,
        split="test",
        part=part,
        metric="accuracy",
        value=value,
        low=value - 0.02,
        high=value + 0.02,
        forwards=forwards,
    )


RESULT = Comparison(
    title="A <title> & more",
    rows=(
        row("one", "single", 0.5),
        row("one", "single", 0.9, part="plain"),
        row("two", "single", 0.6),
        row("soup", "merge", 0.7),
        row("all of them", "ensemble", 0.8, forwards=6),
        row("bad", "control", 0.1),
    ),
    differences=(),
    conclusion="",
)


def test_every_method_is_named_once_best_on_top_of_its_kind():
    ax = plot_comparison(RESULT)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[::-1] == ["two", "one", "soup", "all of them", "bad"]
    texts = [text.get_text() for text in ax.texts]
    assert "80.0, 6 evaluations" in texts
    assert "90.0" not in texts
    assert ax.get_title(loc="left") == RESULT.title


def test_it_draws_on_the_callers_axes():
    axes = Figure().subplots()
    assert plot_comparison(RESULT, axes) is axes


def test_equal_results_give_equal_files(tmp_path):
    for name in ("a.svg", "b.svg"):
        save_figure(plot_comparison(RESULT), tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "<dc:date>" not in text
    assert "A &lt;title&gt; &amp; more" in text


def test_without_matplotlib_the_message_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\[lab\]'"):
        plot_comparison(RESULT)
