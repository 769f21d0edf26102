import pytest
import torch

from stockpot.networks.reproducible import seeded
from stockpot.running.executor import one_thread


def raising(context):
    with context:
        raise ValueError("stop")


def test_seeded_repeats_inside_and_restores_outside_even_after_an_error():
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)
    with pytest.raises(ValueError, match="stop"):
        raising(seeded(5))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_thread_restores_the_number_of_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        with pytest.raises(ValueError, match="stop"):
            raising(one_thread())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
