"""Figures of the study of magnitude about variance and bounds."""

import math
from typing import Any

from ...pages.axes import SMALL, dress, name_below, panels
from ...pages.styles import BLUE, FAMILIES, INK, ORANGE, SKY, VERMILION
from .result import ALL, MagnitudeResult

_SOLID, _DASHED, _DOTTED = "solid", (0, (4, 2)), (0, (1, 1.5))


def plot_variance(result: MagnitudeResult, ax: Any = None) -> Any:
    """What averaging leaves of the variance of each tensor's weights."""
    n = result.counts[-1]
    question = "Does averaging halve the variance of weights?"
    (one,) = axes = panels(ax, 1, columns=1, size=(6.4, 3.4), question=question)
    shown = {
        "of_average": ("average of two", BLUE, "s"),
        "of_all": (f"average of {n}", SKY, "D"),
        "delta_of_all": (f"average of {n}, since the start", ORANGE, "v"),
    }
    handles: list[Any] = []
    for quantity, (words, colour, marker) in shown.items():
        rows = [o for o in result.moments if o.quantity == quantity and o.tensor != ALL]
        if not any(math.isfinite(o.value) for o in rows):
            continue
        handles += one.plot(
            range(1, len(rows) + 1),
            [100 * o.value for o in rows],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1,
            label=words,
        )
    for share, words in ((50, "independent, two"), (100 / n, f"independent, {n}")):
        one.axhline(share, color=INK, linewidth=0.8, linestyle=_DOTTED)
        place = (1.0, share)
        one.annotate(
            words,
            place,
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            fontsize=SMALL - 1,
            ha="right",
        )
    one.xaxis.get_major_locator().set_params(integer=True)
    dress(one, x="layer", y="of the ingredients' variance, %")
    one.set_ylim(bottom=0)
    name_below(ax, axes, handles, [handle.get_label() for handle in handles])
    return one


def plot_bounds(result: MagnitudeResult, ax: Any = None) -> Any:
    """Equations 15 and 16 beside what is measured, layer by layer, on logarithmic axes.

    Its network is fully connected. On the caller's Axes: equation 15.
    """
    axes = panels(ax, 2, columns=2, size=(4.4, 3.4), question="How loose are the bounds?")
    rows = [one for one in result.bounds if one.of == "single"]
    soups = [one for one in result.bounds if one.of == "soup"]
    layers = [one.layer for one in rows]
    drawn: list[list[tuple[str, list[float], str, Any]]] = [
        [
            ("equation 15, C = 1", [o.norm_bound for o in rows], VERMILION, _DASHED),
            ("product of spectral norms", [o.spectral_bound for o in rows], ORANGE, _DASHED),
            ("measured, single", [o.norm for o in rows], FAMILIES["single"].colour, _SOLID),
            ("measured, soup", [o.norm for o in soups], BLUE, _SOLID),
        ],
        [
            ("equation 16", [o.variance_bound for o in rows], VERMILION, _DASHED),
            ("measured, single", [o.variance for o in rows], FAMILIES["single"].colour, _SOLID),
            ("measured, soup", [o.variance for o in soups], BLUE, _SOLID),
        ],
    ]
    titles = ("15: size of activations over the input's", "16: variance of outputs")
    for one, lines, title in zip(axes, drawn, titles, strict=False):
        for words, values, colour, dash in lines:
            one.plot(layers, values, color=colour, linestyle=dash, linewidth=1.3, label=words)
        one.set_yscale("log")
        one.xaxis.get_major_locator().set_params(integer=True)
        dress(one, title=title, x="layer")
        one.legend(fontsize=SMALL - 1, frameon=False)
    return axes[0]
