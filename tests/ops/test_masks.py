import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.ops.masks import localised


def test_an_element_belongs_to_the_task_that_made_most_of_it() -> None:
    delta = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, -2.0])
    total = torch.tensor([1.0, 3.0, 3.5, 0.0, 1.0, 0.0])
    assert localised(delta, total, 0.5).tolist() == [1, 1, -1, 1, -1, 1]
    assert localised(delta, total, 0.0).tolist() == [1] * 6


@given(st.floats(-8, 8, width=32), st.floats(-8, 8, width=32), st.sampled_from([0.25, 0.5, 1, 2]))
def test_the_edge_is_inside(delta: float, total: float, ratio: float) -> None:
    one, all_ = torch.tensor([delta]), torch.tensor([total])
    rest = (all_ - one).abs()
    expected = 1.0 if bool(one.abs() >= ratio * rest) else -1.0
    assert localised(one, all_, ratio).item() == expected
    assert (one.item(), all_.item()) == (delta, total)
