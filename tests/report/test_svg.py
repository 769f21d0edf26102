import re
from xml.etree import ElementTree as ET

from stockpot.pages.drawing import draw, draw_panels
from stockpot.pages.svg import inline_svg, save_figure
from stockpot.report import figures

from .making import comparison, confusion, row, whole


def shown(name="quality", result=None):
    return next(one for one in figures(result or whole()) if one.name == name)


def panel(name="quality", result=None):
    return draw_panels(shown(name, result))[0]


def inline(ax, name="here"):
    return inline_svg(ax, name=name, title="A <title>", description="What & why")


def test_equal_results_give_equal_bytes(tmp_path):
    assert inline(panel()) == inline(panel())
    for name in ("a.svg", "b.svg"):
        save_figure(draw(shown()), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_colours_come_from_the_page():
    svg = inline(panel())
    assert "currentColor" in svg
    assert "var(--page)" in svg
    assert "var(--rule)" in svg
    assert not re.search(r"#0{6}|#f{6}|DejaVu", svg)
    assert "#0072b2" in svg


def test_it_is_named_and_described():
    root = ET.fromstring(inline(panel()))
    title, description = list(root)[:2]
    assert (title.text, description.text) == ("A <title>", "What & why")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == title.attrib["id"]
    assert root.attrib["aria-describedby"] == description.attrib["id"]


def test_two_figures_of_one_page_share_no_id_and_every_reference_is_met():
    first, second = (inline(panel(), name) for name in ("one", "two"))
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first))
    assert used
    assert {a or b for a, b in used} <= ids[0]


def test_it_styles_nothing_else_and_loads_nothing():
    svg = inline(panel())
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert "<!DOCTYPE" not in svg
    assert not re.search(r'href="(?!#)', svg)


def test_names_that_no_font_or_formula_knows(tmp_path):
    names = ("$\\frac$", "_hidden", "日本語", "ﷺ", "a\x00b\ud800", "<b>&amp;")
    rows = [row(name, n=n) for name in names for n in (2, 3)]
    result = comparison(rows, confusion=confusion(names))
    for name in ("quality", "confusion"):
        svg = "".join(inline(one) for one in draw_panels(shown(name, result)))
        words = [
            text.text
            for text in ET.fromstring(f"<svg>{svg}</svg>").iter("{http://www.w3.org/2000/svg}text")
        ]
        assert {"$\\frac$", "_hidden", "日本語", "a\ufffdb\ufffd", "<b>&amp;"} <= {
            (word or "").strip() for word in words
        }
        save_figure(draw(shown(name, result)), tmp_path / "figure.svg")
