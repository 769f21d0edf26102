"""Where training computes, and what is done there so that it repeats."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

import torch

from ...errors import StockpotError

Device = Literal["auto", "cpu", "cuda"]


def pick_device(device: Device) -> str:
    """The device that `auto` means here; a GPU that is asked for must be there.

    Raises:
        StockpotError: torch sees no GPU.
    """
    seen = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if seen else "cpu"
    if device == "cuda" and not seen:
        raise StockpotError("--device cuda: torch sees no GPU here. Use --device cpu.")
    return device


@contextmanager
def steady(device: str) -> Generator[None]:
    """On a GPU: restore its random state afterwards, and let cuDNN take repeatable kernels only.

    A few of torch's own GPU kernels add in an order that varies, so that repeats there agree to
    rounding; on a CPU they agree to the last bit.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    state = torch.cuda.get_rng_state(device)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        torch.cuda.set_rng_state(state, device)
