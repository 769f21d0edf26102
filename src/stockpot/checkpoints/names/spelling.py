"""How libraries write one parameter in several ways, and the one way that stands for all of them.

A spelling is of a family, such as weight norm, and has a style, such as `weight_g and weight_v`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Modules that torch.compile, FSDP and activation checkpointing put around others; nobody calls
a module of a network so."""
LOOSE = (*WRAPPERS, "module")
"""The same with the one of DistributedDataParallel, which may be a network's own name too."""

_EXPERT = re.compile(r"(.*\bexperts\.)(\d+)\.(\w+)\.weight")
_FUSED = re.compile(r".*\bexperts\.(gate_up_proj|down_proj)")
_MATRICES = {
    "w1": ("gate_up_proj", 0),
    "gate_proj": ("gate_up_proj", 0),
    "w3": ("gate_up_proj", 1),
    "up_proj": ("gate_up_proj", 1),
    "w2": ("down_proj", 0),
    "down_proj": ("down_proj", 0),
}
"""A matrix of one expert -> the tensor that holds it of all experts, and its place there."""
_HALVES = {"g": "original0", "v": "original1"}
_OLD_NORMS = {"gamma": "weight", "beta": "bias"}


@dataclass(frozen=True, slots=True)
class Spelled:
    """A name as it is written.

    Attributes:
        canonical: the name that stands for every way to write it.
        styles: family -> in which style it is written.
        part: where it lies in the tensor that holds all experts, by expert and matrix.
    """

    canonical: str
    styles: Mapping[str, str] = field(default_factory=dict[str, str])
    part: tuple[int, int] | None = None


def spell(name: str, names: Collection[str]) -> Spelled:
    """Read one of a checkpoint's names.

    Example:
        >>> spell("conv.weight_g", {"conv.weight_g", "conv.weight_v"}).canonical
        'conv.parametrizations.weight.original0'
    """
    styles: dict[str, str] = {}
    stem, reparametrised = _reparametrised(name, names)
    if reparametrised:
        styles |= reparametrised
    *modules, leaf = stem.split(".")
    for wrapper in LOOSE:
        if wrapper in modules:
            styles[wrapper] = f"'{wrapper}.' inside them"
    modules = [module for module in modules if module not in LOOSE]
    if leaf in _OLD_NORMS:
        styles["norms"] = "gamma and beta"
        leaf = _OLD_NORMS[leaf]
    canonical = ".".join([*modules, leaf])
    if "block_sparse_moe" in modules:
        canonical = canonical.replace("block_sparse_moe.", "mlp.", 1)
    return _expert(canonical, styles)


def _reparametrised(name: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Weight norm and spectral norm, of which torch has an old and a new way each."""
    module, dot, leaf = name.rpartition(".")
    stem, _, half = leaf.rpartition("_")
    old = module + dot + stem
    if half in ("orig", "u", "v") and f"{old}_orig" in names:
        new = "original" if half == "orig" else f"0._{half}"
        styles = {"spectral norm": "weight_orig"}
        return f"{module}{dot}parametrizations.{stem}.{new}", styles
    if half in _HALVES and all(f"{old}_{one}" in names for one in _HALVES):
        styles = {"weight norm": "weight_g and weight_v"}
        return f"{module}{dot}parametrizations.{stem}.{_HALVES[half]}", styles
    if re.search(r"(^|\.)parametrizations\.\w+\.original[01]$", name):
        return name, {"weight norm": "parametrizations.weight.original0 and original1"}
    if re.search(r"(^|\.)parametrizations\.\w+\.(original|0\._[uv])$", name):
        return name, {"spectral norm": "parametrizations.weight.original"}
    return name, {}


def _expert(name: str, styles: dict[str, str]) -> Spelled:
    if match := _EXPERT.fullmatch(name):
        before, number, matrix = match.groups()
        if matrix in _MATRICES:
            stack, place = _MATRICES[matrix]
            styles["experts"] = "experts one by one"
            return Spelled(before + stack, styles, (int(number), place))
    if _FUSED.fullmatch(name):
        styles["experts"] = "experts stacked in one tensor"
    return Spelled(name, styles)
