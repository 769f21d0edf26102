"""Progress goes from something to all of it, whatever is done again or need not be done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stockpot as sp
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.methods import Average, Dare, ModelStock, Ties
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.texts import size_text

Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    "method",
    [Average(), Ties(), Ties(trim="tensor"), ModelStock(), Dare(rescale="norm")],
    ids=str,
)
@pytest.mark.parametrize("memory", ["1MiB", "1GiB"])
def test_progress_is_monotone_and_complete(
    method: Any, memory: str, family: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, float]] = []
    merged = sp.merge_to(
        tmp_path / "out",
        [family / n for n in "abc"],
        method,
        base=family / "base",
        memory=memory,
        progress=lambda what, share: told.append((what, share)),
    )
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    moved = size_text(merged.bytes_read + merged.bytes_written)
    assert told[-1] == (f"{moved} of {moved}", 1.0)
    assert len(told) > 2


@pytest.mark.parametrize("method", ["average", "ties"])
def test_a_resumed_run_tells_of_what_is_left(
    method: str, recipe: Make, driver: Any, tmp_path: Path
) -> None:
    options = {"memory": "4MiB", "workers": 1}
    report = driver.run(recipe(method), tmp_path / "whole", options=options)
    last = max(i for i, name in enumerate(report["log"], start=1) if name == "pwrite")
    driver.killed(recipe(method), tmp_path / "out", last - 2, options=options)
    told: list[tuple[str, float]] = []
    merged = run_recipe(
        parse_recipe(recipe(method)),
        tmp_path / "out",
        Options(resume=True, progress=lambda what, share: told.append((what, share)), **options),
    )
    moved = merged.bytes_read + merged.bytes_written
    assert told[-1] == (f"{size_text(moved)} of {size_text(moved)}", 1.0)
    assert moved < report["merged"]["bytes_read"] + report["merged"]["bytes_written"]
