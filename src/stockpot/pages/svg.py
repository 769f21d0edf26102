"""Figures as SVG: files for themselves, and parts of a page that follow its colours.

Text stays text, nothing depends on the date, and equal figures give equal bytes.
"""

import io
import re
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from ..libraries import optional
from .styles import GRID, INK, PAPER
from .units import shown

SETTINGS = {"svg.hashsalt": "stockpot", "svg.fonttype": "none"}

_PIXELS = 144
"""Of what is drawn as pixels, to the inch."""

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_PAGE_COLOURS = {INK: "currentColor", PAPER: "var(--page)", GRID: "var(--rule)"}
_COLOUR = re.compile("|".join(_PAGE_COLOURS))
_FONT = re.compile(r"'DejaVu Sans'[^;]*")
_LOCAL = re.compile(r"url\(#")


def save_figure(ax: Any, path: Path) -> None:
    """Save the figure of `ax` as SVG: text stays text, equal results give equal bytes."""
    path.write_text(_rendered(ax), encoding="utf-8")


def inline_svg(ax: Any, *, name: str, title: str, description: str) -> str:
    """The figure of `ax` as an element of a page.

    Black becomes the page's text colour, white its ground and the grid its rules, so that it is
    right in dark and in light. Ids begin with `name`, so that figures of one page do not share any.

    Args:
        ax: of the figure.
        name: unique on the page.
        title: what a screen reader calls it.
        description: what it shows, in words.
    """
    root = ET.fromstring(_rendered(ax, transparent=True))
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for definitions in root.findall(f"{{{_SVG}}}defs"):
        for sheet in definitions.findall(f"{{{_SVG}}}style"):
            definitions.remove(sheet)  # its selector is `*`: it would style the whole page
    for element in root.iter():
        _localise(element, name)
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "aria-describedby": f"{name}-description",
        "fill": "currentColor",
        "stroke-linejoin": "round",
        "style": f"--natural: {width:.0f}px",
    }
    root.insert(0, _words("desc", f"{name}-description", description))
    root.insert(0, _words("title", f"{name}-title", title))
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ET.tostring(root, encoding="unicode")


def coarsen(ax: Any) -> None:
    """Draw the marks of the figure of `ax` as pixels, for figures that have too many.

    Text stays text, and what is black or white stays lines, to follow the page's colours.
    """
    for axes in ax.figure.axes:
        for artist in (*axes.lines, *axes.collections, *axes.patches):
            colour = artist.get_color() if hasattr(artist, "get_color") else None
            if colour not in (INK, PAPER):
                artist.set_rasterized(True)


def _rendered(ax: Any, *, transparent: bool = False) -> str:
    text = io.StringIO()
    with optional("matplotlib").rc_context(SETTINGS), warnings.catch_warnings():
        # The reader's fonts draw the text; that matplotlib's own lacks a script says nothing.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        ax.figure.savefig(
            text, format="svg", metadata={"Date": None}, transparent=transparent, dpi=_PIXELS
        )
    return text.getvalue()


def _localise(element: ET.Element, name: str) -> None:
    """Put the page's colours and font, and ids of this figure, into one element."""
    if element.text:
        element.text = shown(element.text) if element.text.strip() else element.text
    for key, value in list(element.attrib.items()):
        if key == "style":
            value = _COLOUR.sub(lambda found: _PAGE_COLOURS[found.group()], value)
            value = _FONT.sub("var(--sans)", value)
        if key == "id":
            value = f"{name}-{value}"
        if key == _HREF and value.startswith("#"):
            value = f"#{name}-{value[1:]}"
        element.attrib[key] = _LOCAL.sub(f"url(#{name}-", value)


def _words(tag: str, identity: str, words: str) -> ET.Element:
    element = ET.Element(f"{{{_SVG}}}{tag}", {"id": identity})
    element.text = shown(words)
    return element
