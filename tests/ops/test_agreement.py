"""Counts of signs against a loop over elements, and that blocks add up."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.ops.agreement import Planes, count_signs, mean_of


def plainly(rows):
    """Elements, both, alike, majority, touched, opposed: element by element."""
    count = len(rows)
    both, alike = np.zeros((count, count), int), np.zeros((count, count), int)
    majority = touched = opposed = 0
    for column in zip(*(row.tolist() for row in rows), strict=True):
        signs = [(value > 0) - (value < 0) for value in column]
        up, down = signs.count(1), signs.count(-1)
        majority += max(up, down)
        touched += up + down > 0
        opposed += up > 0 and down > 0
        for i in range(count):
            for j in range(count):
                both[i, j] += signs[i] != 0 and signs[j] != 0
                alike[i, j] += signs[i] != 0 and signs[i] == signs[j]
    return len(rows[0]), both, alike, majority, touched, opposed


def told(counts):
    return (
        counts.elements,
        counts.both.tolist(),
        counts.alike.tolist(),
        counts.majority,
        counts.touched,
        counts.opposed,
    )


def counted(rows):
    return around(torch.stack(rows), None)


def around(rows_KS, centre_S):
    planes = Planes.blank(*rows_KS.shape)
    for start in range(0, rows_KS.shape[1], 16):
        at = slice(start, start + 16)
        planes.mark(start, rows_KS[:, at], None if centre_S is None else centre_S[at])
    return count_signs(planes)


values = st.sampled_from([-2.0, -0.0, 0.0, 1e-30, 3.0])


@given(st.integers(1, 9), st.integers(1, 50), st.data())
def test_counts_are_those_of_a_loop_and_add_up(count, size, data):
    rows = [
        torch.tensor(data.draw(st.lists(values, min_size=size, max_size=size)))
        for _ in range(count)
    ]
    elements, both, alike, *others = plainly(rows)
    assert told(counted(rows)) == (elements, both.tolist(), alike.tolist(), *others)
    cut = data.draw(st.integers(0, size))
    parts = [counted([row[:cut] for row in rows]), counted([row[cut:] for row in rows])]
    assert told(parts[0].join(parts[1])) == told(counted(rows))


def test_more_models_than_a_byte_counts():
    rows = [torch.tensor([1.0, -1.0, 0.0])] * 300
    counts = counted(rows)
    assert (counts.majority, counts.touched, counts.opposed) == (600, 2, 0)
    assert counts.both[0, 299] == counts.alike[0, 299] == 2


def test_around_the_mean_equal_rows_have_no_sign_and_two_are_opposite():
    row = torch.tensor([0.1, -3.3, 7.0])
    rows_KS = torch.stack([row] * 3)
    counts = around(rows_KS, mean_of(rows_KS, torch.empty(3)))
    assert counts.touched == 0
    rows_KS = torch.stack([row, -row])
    counts = around(rows_KS, mean_of(rows_KS, torch.empty(3)))
    assert counts.alike[0, 1] == 0
    assert counts.both[0, 1] == counts.opposed == 3
