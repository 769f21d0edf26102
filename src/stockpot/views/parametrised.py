"""Weights that a network computes from several stored tensors: which those are, told by name.

PyTorch writes each kind in two ways, as a hook of old (`weight_g`) and as a parametrization
(`parametrizations.weight.original0`); both are known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..checkpoints.entry import TensorEntry

Entries = Mapping[str, TensorEntry]


@dataclass(frozen=True, slots=True)
class WeightNorm:
    """`g v / |v|`, the norm taken over all dimensions in which g has one element."""

    size: str
    direction: str


@dataclass(frozen=True, slots=True)
class SpectralNorm:
    """`W / uᵀ W v`, with u and v the first singular vectors of W seen as a matrix."""

    weight: str
    left: str
    right: str | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """`W m`, with a mask m of ones and zeros."""

    weight: str
    mask: str


Parametrised = WeightNorm | SpectralNorm | Pruned

HOOKED_NORM = re.compile(r"(?P<stem>(?:.*\.)?weight\w*)_v")
NEW_NORM = re.compile(r"(?P<stem>(?:.*\.)?parametrizations\.[^.]+)\.original1")
HOOKED = re.compile(r"(?P<stem>.+)_(?:orig|bar)")  # bar: of implementations before PyTorch's own
NEW_SPECTRAL = re.compile(r"(?P<stem>(?:.*\.)?parametrizations\.[^.]+)\.original")
ENDINGS = ("_v", "_orig", "_bar", ".original", ".original1")
"""How the names end that these patterns match."""
STAGES = 4
"""Parametrizations of one weight among which spectral norm is looked for."""


def parametrised_in(entries: Entries) -> tuple[Parametrised, ...]:
    """Every such weight of a checkpoint, in the order of its names."""
    found: list[Parametrised] = []
    for name in entries:
        if not name.endswith(ENDINGS):
            continue
        if match := HOOKED_NORM.fullmatch(name):
            found += _weight_norm(entries, f"{match['stem']}_g", name)
        elif match := NEW_NORM.fullmatch(name):
            found += _weight_norm(entries, f"{match['stem']}.original0", name)
        elif match := HOOKED.fullmatch(name):
            stem = match["stem"]
            found += _spectral_norm(entries, name, f"{stem}_u", f"{stem}_v")
            found += _pruned(entries, name, f"{stem}_mask")
        elif match := NEW_SPECTRAL.fullmatch(name):
            for stage in range(STAGES):
                step = f"{match['stem']}.{stage}"
                found += _spectral_norm(entries, name, f"{step}._u", f"{step}._v")
    return tuple(found)


def _weight_norm(entries: Entries, size: str, direction: str) -> list[WeightNorm]:
    if size not in entries:
        return []
    g, v = entries[size], entries[direction]
    fits = not g.shape or (
        len(g.shape) == len(v.shape)
        and all(n in (1, m) for n, m in zip(g.shape, v.shape, strict=True))
    )
    floats = g.dtype.is_floating_point and v.dtype.is_floating_point
    return [WeightNorm(size, direction)] if fits and floats else []


def _spectral_norm(entries: Entries, weight: str, left: str, right: str) -> list[SpectralNorm]:
    if left not in entries:
        return []
    w, u, v = entries[weight], entries[left], entries.get(right)
    fits = len(w.shape) > 1 and len(u.shape) == 1 and u.shape[0] in w.shape and u.shape[0] > 0
    fits = fits and (v is None or v.shape == (w.numel // u.shape[0],))
    floats = all(one is None or one.dtype.is_floating_point for one in (w, u, v))
    return [SpectralNorm(weight, left, None if v is None else right)] if fits and floats else []


def _pruned(entries: Entries, weight: str, mask: str) -> list[Pruned]:
    there = mask in entries and entries[mask].shape == entries[weight].shape
    return [Pruned(weight, mask)] if there and entries[weight].dtype.is_floating_point else []
