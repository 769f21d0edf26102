"""The script of differences between rows, on a table whose numbers are worked out by hand."""

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "results" / "gaps.py"
HEAD = "n,subset,seed,method,kind,split,part,metric,value,low,high,forwards,network,data,non_finite"


@pytest.fixture(scope="module")
def gaps() -> dict[str, Any]:
    """Its functions by their names."""
    return runpy.run_path(str(SCRIPT))


def write(run: Path, rows: list[tuple[Any, ...]]) -> None:
    """Rows of (n, subset, seed, method, part, value), as a comparison writes them."""
    lines = [
        f"{n},{subset},{seed},{method},merge,test,{part},accuracy,{value},0,1,1,net,set,0"
        for n, subset, seed, method, part, value in rows
    ]
    lines.append("2,0,0,a,merge,selection,all,accuracy,0.999,0,1,1,net,set,0")
    lines.append("2,0,0,a,merge,test,all,nll,0.999,0,1,1,net,set,0")
    lines.append("2,-1,-1,a,merge,test,all,accuracy,0.999,0,1,1,net,set,0")
    (run / "results.csv").write_text("\n".join([HEAD, *lines, ""]), encoding="utf-8")


def test_a_gap_is_taken_pool_by_pool_after_the_mean_over_subsets(
    gaps: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(2, subset, 0, "a", "all", value) for subset, value in enumerate((0.9, 0.7))]
    rows += [(2, 0, 1, "a", "all", 0.6), (2, 0, 0, "b", "all", 0.5), (2, 0, 1, "b", "all", 0.5)]
    write(tmp_path, rows)
    gaps["main"](tmp_path, ["a - b"], "accuracy")
    shown = capsys.readouterr().out  # 0.3 and 0.1: mean 0.2
    assert "net on set, all, N = 2: +20.00 (too few pools for an interval)" in shown


def test_changes_are_differences_of_gaps(gaps: dict[str, Any], tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = []
    for seed in (0, 1):
        for part, n, gap in (("all", 2, 0.1), ("all", 5, 0.4), ("blur", 5, 0.2), ("noise", 5, 0.0)):
            rows += [(n, 0, seed, "a", part, 0.5 + gap), (n, 0, seed, "b", part, 0.5)]
    write(tmp_path, rows)
    of = gaps["gaps"](gaps["scores"](tmp_path), "a", "b")
    changed = {name: gap[0] for name, gap in gaps["changes"](of)}
    assert changed == pytest.approx(
        {
            "net on set, all, N = 5: N = 5 less N = 2": 0.3,
            "net on set, views, N = 5: less all": -0.3,
            "net on set, blur, N = 5: less all": -0.2,
            "net on set, noise, N = 5: less all": -0.4,
        }
    )


def test_a_row_that_is_not_there_is_named(gaps: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, [(2, 0, 0, "b", "all", 0.5)])
    with pytest.raises(SystemExit, match="'a - c' is not two rows with ' - ' between; rows: b"):
        gaps["main"](tmp_path, ["a - c"], "accuracy")
