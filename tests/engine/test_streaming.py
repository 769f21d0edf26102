"""Every element is seen once, whatever the budget and the number of threads; and refusals."""

import threading

import pytest
import torch

from stockpot.checkpoints.entry import from_state_dict
from stockpot.core import SEGMENT
from stockpot.engine.streaming import Aligned, stream
from stockpot.errors import FieldError, MergeError

SIZES = {"large": 5 * SEGMENT + 3, "small": 7, "scalar": 1}


def aligned():
    made = [{n: torch.arange(size) + k for n, size in SIZES.items()} for k in range(2)]
    opened = [from_state_dict(one, "x") for one in made]
    return [
        Aligned(n, (size,), tuple(one.entries[n] for one in opened)) for n, size in SIZES.items()
    ]


def run(memory, workers, measure=None, progress=None):
    def mark(one, rows, start):
        assert start % SEGMENT == 0
        assert [len(row) for row in rows] == [len(rows[0])] * 2
        assert torch.equal(rows[1], torch.arange(start, start + len(rows[0])) + 1)
        return [(one.name, start, len(rows[0]))]

    return stream(
        aligned(),
        measure or mark,
        lambda a, b: a + b,
        lambda one, found: (one.name, sorted(found)),
        room=lambda _: 0,
        memory=memory,
        workers=workers,
        progress=progress,
    )


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("memory", [16 * SEGMENT + 256, 5 * 16 * SEGMENT + 2000, "1GiB"])
def test_every_element_is_measured_once_in_order(memory, workers):
    told = []
    found = run(memory, workers, progress=lambda name, share: told.append((name, share)))
    assert [name for name, _ in found] == list(SIZES)
    for name, parts in found:
        at = 0
        for _, start, size in parts:
            assert start == at
            at += size
        assert at == SIZES[name]
    assert sorted(name for name, _ in told) == sorted(SIZES)
    assert max(share for _, share in told) == 1


def test_a_small_budget_cuts_and_one_that_is_too_small_is_refused():
    assert len(run(16 * SEGMENT + 256, 1)[0][1]) == 6
    assert len(run("1GiB", 1)[0][1]) == 1
    with pytest.raises(MergeError, match="raise it"):
        run(SEGMENT, 1)
    with pytest.raises(FieldError, match="workers"):
        run("1GiB", 0)


def test_a_failure_ends_all_threads():
    def fail(one, rows, start):
        raise RuntimeError("no")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no"):
        run("1GiB", 3, fail)
    assert threading.active_count() == before
