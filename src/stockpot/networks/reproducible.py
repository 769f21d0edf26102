"""Randomness and rounding that are the caller's to repeat and nobody else's to notice."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager

import torch


def derived(seed: int, *what: str | int) -> int:
    """A seed of 32 bits for one purpose.

    Example:
        >>> derived(0, "start") == derived(0, "start"), derived(0, "start") == derived(1, "start")
        (True, False)
    """
    text = "/".join(map(str, (seed, *what))).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "little")


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seed torch's CPU generator inside the block and restore its state after it."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    try:
        yield
    finally:
        torch.set_rng_state(state)
