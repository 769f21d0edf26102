"""Merges give the bytes that they gave; see merges.py for what to do where they must not.

On any processor, or on this one: what the numeric law promises of each.
"""

import json

import pytest
import torch

from stockpot.core import Method
from stockpot.methods import METHODS

from .merges import DIGESTS, MERGES, digest, family, is_everywhere, merged, merges

STORED: dict[str, str] = json.loads(DIGESTS.read_text())


def test_merges_give_the_bytes_they_gave() -> None:
    found = dict(merges())
    assert list(found) == list(STORED), "run tests/golden/merges.py"
    changed = [name for name, digest in found.items() if digest != STORED[name]]
    assert changed == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("method", "weights"), [pair for pair in MERGES if not is_everywhere(pair[0])], ids=str
)
def test_what_a_processor_decides_is_the_same_on_this_one(
    method: Method, weights: list[float] | None, dtype: torch.dtype
) -> None:
    """For any memory, workers and threads of torch's; tests/reference holds the values."""
    first = digest(merged(method, weights, dtype))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert digest(merged(method, weights, dtype, workers=3, memory="1MiB")) == first
    finally:
        torch.set_num_threads(threads)
    assert digest(merged(method, weights, dtype, workers=1)) == first


def test_every_method_is_there_and_no_two_merges_agree() -> None:
    assert {type(method) for method, _ in MERGES} == set(METHODS)
    assert len(STORED) == 2 * sum(is_everywhere(method) for method, _ in MERGES)
    assert len(set(STORED.values())) == len(STORED)


def test_the_inputs_are_what_they_were() -> None:
    base, first, *_ = family(torch.float32)
    assert base["embed.weight"][0, :2].tolist() == [3.209228515625, -6.842041015625]
    assert (first["scale"] - base["scale"]).item() == 0.668060302734375
