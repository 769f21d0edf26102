"""Every result in Python: a short repr, HTML whose names are escaped, a DataFrame, a plot."""

import matplotlib
import pytest

matplotlib.use("agg")

from matplotlib import pyplot

from stockpot import StockpotError
from stockpot.report.kinds import KINDS
from stockpot.values.bars import bar_for

from .every import EVERY, HOSTILE


@pytest.mark.parametrize("kind", EVERY)
def test_every_result_shows_itself(kind):
    result = EVERY[kind]()
    kind_of_row, rows = result.table()
    assert repr(result).startswith(f"{type(result).__name__}({result.title!r:.100}, {len(rows):,}")
    assert len(repr(result)) < 3000
    html = result._repr_html_()
    assert html.count("<table>") == max(1, len(result.overview()))
    frame = result.to_pandas()
    assert len(frame) == len(rows)
    assert list(frame.columns) == list(kind_of_row.__dataclass_fields__)
    axes = result.plot()
    assert axes.figure is not None
    pyplot.close("all")


@pytest.mark.parametrize("kind", ["comparison", "conflicts", "federation"])
def test_names_are_no_html(kind):
    html = EVERY[kind](HOSTILE)._repr_html_()
    assert "<script>" not in html
    assert "<img" not in html
    assert "\u202e" not in html


def test_a_result_without_a_figure_says_so(monkeypatch):
    assert all(kind.result.main_figure for kind in KINDS.values())
    result = EVERY["conflicts"]()
    monkeypatch.setattr(type(result), "main_figure", "")
    with pytest.raises(StockpotError, match="ConflictsResult has no figure: draw what to_pandas"):
        result.plot()


def test_a_bar_on_request(capsys):
    assert bar_for(None) is None
    assert bar_for(print) is print
    tell = bar_for("bar")
    assert tell is not None
    tell("merging", 0.5)
    tell("done", 1.0)
    assert "100%" in capsys.readouterr().err
