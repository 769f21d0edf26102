"""The page in a browser: nothing on the console, every figure there and legible, tables sort."""

import pytest

from stockpot.report import render_page

from .making import SCENARIOS, comparison, confusion, row, whole

FIGURES = """
return [...document.querySelectorAll("figure")].map(figure => {
  const box = (figure.querySelector("svg") ?? figure).getBoundingClientRect();
  return [figure.id, box.width, box.height, figure.querySelector("figcaption").innerText,
          figure.querySelector("figure > p")?.innerText ?? ""];
});
"""

OVERLAPS = """
const found = [];
for (const svg of document.querySelectorAll("figure svg")) {
  const whole = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter(one => one.textContent.trim());
  const boxes = texts.map(one => one.getBoundingClientRect());
  texts.forEach((one, i) => {
    const a = boxes[i];
    if (a.left < whole.left - 2 || a.right > whole.right + 2 ||
        a.top < whole.top - 2 || a.bottom > whole.bottom + 2)
      found.push(["outside", svg.closest("figure").id, one.textContent]);
    texts.slice(i + 1).forEach((other, k) => {
      const b = boxes[i + 1 + k];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      const line = Math.min(a.height, b.height, a.width, b.width);
      if (wide > 1 && high > 0.25 * line)
        found.push(["overlap", svg.closest("figure").id, one.textContent, other.textContent]);
    });
  });
}
return found;
"""

CONTRASTS = """
const light = colour => {
  const parts = colour.match(/[0-9.]+/g).slice(0, 3).map(one => one / 255);
  const [r, g, b] = parts.map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = getComputedStyle(document.body).backgroundColor;
const contrast = colour => {
  const [a, b] = [light(colour), light(ground)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const drawn = [...document.querySelectorAll("svg text")];
const said = [...document.querySelectorAll("p, td, th, small, caption, figcaption, dt, button")];
return {
  ground: light(ground),
  text: Math.min(
    ...drawn.map(one => contrast(getComputedStyle(one).fill)),
    ...said.map(one => contrast(getComputedStyle(one).color)),
  ),
  inside: Math.min(...drawn.map(one => Number(getComputedStyle(one).opacity))),
};
"""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_figure_is_drawn_and_no_label_covers_another(browser, pages, scenario):
    page = pages[scenario]
    figures, console = browser.ask(page, FIGURES)
    assert console == []
    assert len(figures) == page.count("<figure id=") > 3
    assert all(width > 150 and height > 100 and words for _, width, height, words, _ in figures)
    overlaps, _ = browser.ask(page, OVERLAPS)
    assert overlaps == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_in_dark(browser, pages, dark):
    seen, console = browser.ask(pages["whole"], CONTRASTS, dark=dark)
    assert console == []
    assert (seen["ground"] < 0.1) is dark
    assert seen["text"] >= 4.5
    assert seen["inside"] == 1


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_is_never_wider_than_the_window(browser, pages, width):
    script = """
    const frame = document.documentElement;
    return [window.innerWidth, frame.scrollWidth,
            document.querySelector("main").getBoundingClientRect().width];
    """
    for scenario in ("long-names", "sweep"):
        (window, reached, main), _ = browser.ask(pages[scenario], script, width=width)
        assert reached <= window
        assert main <= window


def test_tables_sort_by_a_click_and_by_the_keyboard(browser, pages):
    script = """
    const table = document.querySelector("#costs table");
    const heading = [...table.tHead.rows[0].cells].find(one => one.innerText.startsWith("MAC"));
    const button = heading.querySelector("button");
    const column = () => [...table.tBodies[0].rows].map(
      line => Number(line.cells[heading.cellIndex].dataset.key));
    const seen = {before: column(), reachable: button.tabIndex};
    button.click();
    seen.first = [heading.getAttribute("aria-sort"), column()];
    button.focus();
    seen.focused = document.activeElement === button;
    button.click();
    seen.second = [heading.getAttribute("aria-sort"), column()];
    table.tHead.rows[0].cells[0].querySelector("button").click();
    seen.third = [heading.getAttribute("aria-sort"),
                  table.tHead.rows[0].cells[0].getAttribute("aria-sort")];
    return seen;
    """
    seen, console = browser.ask(pages["whole"], script)
    assert console == []
    assert seen["reachable"] == 0
    assert seen["focused"]
    assert seen["before"] != sorted(seen["before"])
    assert seen["first"] == ["ascending", sorted(seen["before"])]
    assert seen["second"] == ["descending", sorted(seen["before"], reverse=True)]
    assert seen["third"] == [None, "ascending"]


def test_what_is_missing_sorts_last_either_way(browser):
    page = render_page(
        comparison([row("a", 0.7, n=3), row("b", n=2), row("c", 0.6, n=3), row("c", 0.5, n=2)])
    )
    script = """
    const table = document.querySelector("#results table"), cells = table.tHead.rows[0].cells;
    const heading = [...cells].find(one => one.innerText.startsWith("N = 3"));
    const order = () => { heading.querySelector("button").click();
      return [...table.tBodies[0].rows].map(line => line.cells[0].innerText.trim()); };
    return [order(), order()];
    """
    (up, down), _ = browser.ask(page, script)
    assert up == ["c", "a", "b"]
    assert down == ["a", "c", "b"]


def test_units_are_no_matter_equals_keep_their_order_and_nan_is_last(browser, pages):
    script = """
    const table = document.querySelector("#costs table");
    const values = [["9.0%", 9], ["10%", 10], ["nan", NaN], ["9.0% [8, 10]", 9], ["\u2014", null]];
    const body = table.tBodies[0], at = table.rows[0].cells.length - 1;
    [...body.rows].slice(values.length).forEach(row => row.remove());
    [...body.rows].forEach((row, i) => {
      row.cells[0].textContent = i;
      row.cells[at].textContent = values[i][0];
      delete row.cells[at].dataset.key;
      if (values[i][1] !== null) row.cells[at].dataset.key = values[i][1];
    });
    const button = table.rows[0].cells[at].querySelector("button");
    const order = () => {
      button.click();
      return [...body.rows].map(row => row.cells[0].textContent).join("");
    };
    return [order(), order()];
    """
    (up, down), console = browser.ask(pages["whole"], script)
    assert console == []
    assert up.startswith("031")
    assert down.startswith("103")
    assert set(up[3:]) == set(down[3:]) == {"2", "4"}


def test_a_script_in_a_name_does_not_run(browser):
    nasty = "<script>console.error('ran')</script><img src=x onerror=console.error('ran')>"
    page = render_page(
        whole([row(nasty, n=2), row(nasty, n=3)], confusion=confusion((nasty, "'\"&$x$")))
    )
    found, console = browser.ask(page, "return document.body.innerText.includes('onerror');")
    assert found
    assert console == []


def test_the_console_is_really_read(browser, pages):
    _, console = browser.ask(pages["single-count"], "console.error('mark'); return 0;")
    assert any("mark" in line for line in console)


def test_without_scripts_the_tables_are_complete(pages):
    page = pages["whole"]
    before, _, after = page.partition("<script>")
    assert "92." in before
    assert "<table" not in after
