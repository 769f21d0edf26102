"""The stack a method looks at, its randomness, and what the base class refuses."""

import hashlib
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stockpot.core import SEGMENT, Method, Needs, Settled, Stack
from stockpot.values.fields import check_fields


def stack(numel: int = 64, count: int = 2, name: str = "w", start: int = 0, seed: int = 0) -> Stack:
    rows = [torch.zeros(numel) for _ in range(count)]
    return Stack(models=rows, weights=(1.0,) * count, name=name, start=start, seed=seed)


def draws(**about: int | str) -> list[Tensor]:
    return list(stack(**about).uniform())


def test_draws_are_the_documented_philox_stream() -> None:
    """Key: 16 bytes of BLAKE2b over seed, name and model, joined by NUL; one float32 an element."""
    for k, found in enumerate(draws(numel=33, count=3, name="a.weight", seed=7)):
        digest = hashlib.blake2b(f"7\0a.weight\0{k}".encode(), digest_size=16).digest()
        bits = np.random.Philox(key=np.frombuffer(digest, np.uint64))
        expected = np.random.Generator(bits).random(33, dtype=np.float32)
        assert np.array_equal(found.numpy(), expected)


def test_draws_of_a_known_key_are_what_they_were() -> None:
    """A change of these numbers changes every seeded merge that anyone has made."""
    (found,) = draws(numel=4, count=1, name="w", seed=0)
    assert (found.double() * 2**24).tolist() == [2699796, 2824159, 11392071, 12981795]


@given(start=st.integers(0, 40).map(lambda n: 8 * n), numel=st.integers(1, 100))
@settings(max_examples=60)
def test_draws_do_not_depend_on_the_slice(start: int, numel: int) -> None:
    whole = draws(numel=500)
    for k, part in enumerate(draws(numel=numel, start=start)):
        assert torch.equal(part, whole[k][start : start + numel])


def test_draws_of_a_far_block_are_of_the_whole_tensor() -> None:
    whole = draws(numel=3 * SEGMENT, count=1)[0]
    part = draws(numel=SEGMENT, count=1, start=2 * SEGMENT)[0]
    assert torch.equal(part, whole[2 * SEGMENT :])
    assert draws(numel=8, count=1, start=2**40)[0].shape == (8,)


def test_draws_of_models_names_and_seeds_are_unrelated() -> None:
    found = [*draws(numel=20000), *draws(numel=20000, name="v"), *draws(numel=20000, seed=1)]
    for one, other in combinations(found, 2):
        assert not torch.equal(one, other)
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < 5 / 20000**0.5
    for longer in ({"seed": 11, "name": "w"}, {"seed": 1, "name": "1w"}):
        assert not torch.equal(draws(seed=1, name="w")[0], draws(**longer)[0])


def test_draws_are_uniform_in_the_half_open_interval() -> None:
    values = draws(numel=2**18, count=1)[0].double()
    assert values.min() >= 0
    assert values.max() < 1
    error = (1 / 12 / values.numel()) ** 0.5
    assert abs(values.mean().item() - 0.5) < 5 * error
    for density in (0.01, 0.3, 0.9):
        kept = (values < density).double().mean().item()
        assert abs(kept - density) < 5 * (density * (1 - density) / values.numel()) ** 0.5
    counts = torch.histc(values, 64, 0, 1)
    assert (counts - 4096).abs().max() < 5 * 64


def test_draws_have_the_rows_shape() -> None:
    whole = Stack(models=[torch.zeros(3, 5)], weights=(1.0,), name="w")
    (found,) = whole.uniform()
    assert found.shape == (3, 5)
    assert torch.equal(found.flatten(), draws(numel=15, count=1)[0])
    assert found.dtype == torch.float32
    (none,) = Stack(models=[torch.zeros(0, 2, dtype=torch.float64)], weights=(1.0,)).uniform()
    assert none.shape == (0, 2)


def test_task_vectors_and_rows() -> None:
    rows, base = [torch.tensor([1.0, 2.0]), torch.tensor([5.0, 5.0])], torch.tensor([1.0, 1.0])
    seen = Stack(models=rows, weights=(1.0, 1.0), base=base)
    assert [d.tolist() for d in seen.deltas()] == [[0, 1], [4, 4]]
    assert seen.stacked().tolist() == [[1, 2], [5, 5]]
    assert base.tolist() == [1, 1]


def test_reading_an_undeclared_base_is_a_mistake_in_the_method() -> None:
    with pytest.raises(TypeError, match="does not declare it"):
        _ = stack().anchor
    with pytest.raises(TypeError, match="does not declare it"):
        next(iter(stack().deltas()))


@dataclass(frozen=True, slots=True)
class TwiceFirst(Method):
    """A method of the least effort."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs()

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        return stack.models[0] * 2


def test_steps_that_a_method_does_not_have() -> None:
    method = TwiceFirst()
    with pytest.raises(TypeError, match=r"twice-first reaches beyond .* does not survey"):
        method.survey(stack(), None)
    with pytest.raises(TypeError, match=r"twice-first reaches beyond .* does not settle"):
        method.settle(None, None)  # type: ignore[arg-type]
    assert method.advice((1.0,)) == ()
    assert method(stack(), None).shape == (64,)


def test_an_unfinished_method_cannot_be_made() -> None:
    class Half(Method):
        @property
        def needs(self) -> Needs:
            return Needs()

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
