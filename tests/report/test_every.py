"""Every kind of page in a browser, in both widths and both lights, on paper, with hostile names."""

import re
from functools import cache

import pytest

from stockpot.pages.page import LARGEST
from stockpot.report.files import render
from stockpot.report.kinds import KINDS

from .every import EVERY, HOSTILE, PLAIN
from .test_browser import CONTRASTS, OVERLAPS

NAMES = {"plain": PLAIN, "hostile": HOSTILE}
COMMAND = "stockpot study NAME 'a b.safetensors' --out RUN"

LOOK = """
const frame = document.documentElement;
const wide = [...document.querySelectorAll("body *")].filter(one =>
  !one.closest("svg, .scroll") && one.getBoundingClientRect().right > window.innerWidth + 1);
const inside = element => element.closest("main").getBoundingClientRect();
return {
  reached: [window.innerWidth, frame.scrollWidth],
  wide: wide.map(one => one.tagName),
  figures: [...document.querySelectorAll("figure")].map(one => {
    const drawn = [...one.querySelectorAll("svg")].map(svg => [
      svg.getBoundingClientRect().width,
      [...svg.querySelectorAll("path, use, image")].filter(mark => {
        const size = mark.getBoundingClientRect();
        return size.width + size.height > 0;
      }).length]);
    return [one.id, drawn, one.querySelector("figcaption").innerText,
            one.querySelector("figure > p")?.innerText ?? ""];
  }),
  links: [...document.querySelectorAll("nav a")].map(one =>
    [one.hash, document.getElementById(one.hash.slice(1))?.getBoundingClientRect().height ?? 0]),
  halves: [...document.querySelectorAll("td, th")].filter(one =>
    !one.matches(".long") && one.innerText && one.scrollWidth > one.clientWidth + 1)
    .map(one => one.innerText),
  sections: [...document.querySelectorAll("section, figure")].map(one => `#${one.id}`),
  run: document.querySelectorAll("img, main script").length,
  text: document.body.innerText,
};
"""
MENDED = {
    "safe\u202egnp.exe\u2066": "safe\ufffdgnp.exe\ufffd",
    "two\nlines\tand \x00\x1b[31m a tab": "two lines and \ufffd\ufffd[31m a tab",
    "אבג 12 דה ": "אבג",
}
"""What is shown of names that cannot be shown as they are."""


@pytest.fixture(scope="module")
def every():
    """The page of a kind, with plain names or with hostile ones, rendered once."""
    return cache(lambda kind, words: render(EVERY[kind](NAMES[words]), COMMAND))


def test_every_kind_is_here():
    assert KINDS.keys() <= EVERY.keys()


@pytest.mark.parametrize("words", ["plain", "hostile"])
@pytest.mark.parametrize("kind", EVERY)
def test_the_page_in_two_widths(browser, every, kind, words):
    page = every(kind, words)
    assert len(page.encode()) <= LARGEST
    for width in (1280, 400):
        seen, console = browser.look(page, LOOK, width=width)
        assert console == []
        assert seen["run"] == 0
        assert seen["reached"][1] <= seen["reached"][0] == width
        assert seen["wide"] == []
        assert seen["halves"] == []
        assert len(seen["figures"]) == page.count("<figure id=") > 0
        for name, drawn, caption, instead in seen["figures"]:
            assert bool(drawn) is not bool(instead), name
            assert all(wide > 150 and marks > 2 for wide, marks in drawn), name
            assert re.search(r"\d", caption), name  # a finding has numbers
        assert seen["text"].count(COMMAND) == 1
        assert {link for link, _ in seen["links"]} == set(seen["sections"])
        assert all(height > 0 for _, height in seen["links"])
    overlaps, _ = browser.look(page, OVERLAPS, width=width)
    assert overlaps == []


@pytest.mark.parametrize("kind", EVERY)
def test_hostile_names_are_shown(browser, every, kind):
    seen, _ = browser.look(every(kind, "hostile"), LOOK)
    text = seen["text"].replace("\u2068", "").replace("\u2069", "")
    shown = [name for name in HOSTILE if MENDED.get(name, name) in text]
    assert len(shown) >= {"tasks": 3, "search": 1}.get(kind, 4)
    assert "\u202e" not in text


@pytest.mark.parametrize("kind", EVERY)
def test_dark_and_paper(browser, every, kind):
    page = every(kind, "plain")
    for dark in (False, True):
        seen, console = browser.look(page, CONTRASTS, dark=dark)
        assert console == []
        assert (seen["ground"] < 0.1) is dark
        assert seen["text"] >= 4.5
    script = """
    return [[...document.querySelectorAll(".arrow")].map(one => getComputedStyle(one).display),
            document.documentElement.scrollWidth - window.innerWidth];
    """
    (arrows, over), _ = browser.look(page, script, media="print")
    assert set(arrows) == {"none"}
    assert over <= 0
    assert browser.pdf(page).startswith(b"%PDF")


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_keeps_anyone_from_reading(browser, every, axe, kind):
    page = every(kind, "plain")
    assert browser.violations(page, axe) == []
    assert browser.violations(page, axe, width=400, dark=True) == []


def test_without_its_policy_a_page_would_say_so(browser, every):
    """What the tests rely on: the policy blocks, and the console tells."""
    page = every("scopes", "plain")
    asked = page.replace("</main>", "<script>1</script><img src='http://127.0.0.1:9/x.png'></main>")
    _, console = browser.ask(asked, "return 0;")
    assert len([line for line in console if "Content Security Policy" in line]) == 2
