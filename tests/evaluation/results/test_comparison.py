import csv
import io
import json
import math

import pytest

from stockpot.evaluation import Comparison, Difference, Interval, Row


def row(method, value, part="all", seed=0, low=0.1):
    return Row(
        n=2,
        subset=0,
        seed=seed,
        method=method,
        kind="merge",
        split="test",
        part=part,
        metric="accuracy",
        value=value,
        low=low,
        high=0.9,
        forwards=1,
    )


@pytest.fixture
def comparison():
    return Comparison(
        title="toy",
        rows=(
            row("soup", 0.5),
            row("soup", 0.7, seed=1),
            row("soup", 0.6, seed=-1),
            row("soup", 0.2, part="left"),
            row("once", 0.3, low=math.nan),
        ),
        differences=(Difference("soup", "once", Interval(0.3, 0.1, 0.5), 2),),
        conclusion="so",
    )


def test_a_summary_is_the_row_over_pools_or_the_only_one(comparison):
    assert [one.value for one in comparison.summary()] == [0.6, 0.3]
    assert all(one.part == "all" for one in comparison.overall())
    assert len(comparison.overall()) == 4


def test_csv_and_json_hold_every_column(comparison):
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == len(comparison.rows)
    wanted = [
        "n",
        "subset",
        "seed",
        "method",
        "split",
        "metric",
        "value",
        "low",
        "high",
        "forwards",
    ]
    assert set(wanted) <= rows[0].keys()
    assert float(rows[0]["value"]) == comparison.rows[0].value
    whole = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert whole["conclusion"] == "so"
    assert whole["differences"][0]["interval"]["value"] == 0.3
    assert whole["rows"][-1]["low"] is None
