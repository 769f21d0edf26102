"""Which merge methods can be run on what is given, and what is forecast of each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ....core import Method
from ....errors import ExtraError, MergeError
from ....methods import METHODS
from ....methods.catalogue import method_fields
from ....values.fields import kebab_name
from ...onepass.statistics import Statistics
from ..forecast.fitted import Expected, Forecast
from ..forecast.table import CANDIDATES
from ..forecast.traits import Traits, traits_of
from ..result import Prospect

NO_BASE = "needs --base"
"""Why a method that needs a base cannot be run where there is none that it can use."""
CLOSE = 0.02
"""Forecasts that differ by less are the same: the simpler method is advised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """What is expected of merges.

    Attributes:
        each: methods, those with the best forecast first, then those without one.
        traits: what the forecast looked at; empty where nothing could be.
        error: how far forecasts are off, or why there is none.
    """

    each: tuple[Prospect, ...]
    traits: Mapping[str, float]
    error: str


def prospects_of(found: Statistics, *, based: bool, kin: bool, unlike_table: str = "") -> Prospects:
    """Of every method of this version: what it needs, and what is forecast of it.

    Args:
        found: of the models, and of the base if there is one.
        based: whether the base has every tensor that methods need.
        kin: whether the models come from it; if not, nothing is forecast from it.
        unlike_table: what these models are, if nothing like them was measured.
    """
    count = len(found.names)
    traits, expected, error = _forecast(found, based=based and kin)
    if unlike_table:
        expected, error = (), f"There is no forecast for {unlike_table}."
    known = tuple(_expected(one, count, based=based) for one in expected)
    names = {one.method for one in known}
    others = (_prospect(cls, count, based=based) for cls in METHODS)
    return Prospects(
        each=(*known, *(one for one in others if one.method not in names)),
        traits={} if traits is None else asdict(traits),
        error=error,
    )


def _forecast(found: Statistics, *, based: bool) -> tuple[Traits | None, Sequence[Expected], str]:
    try:
        traits = traits_of(found)
    except MergeError:
        return None, (), ""
    traits = traits if based else traits.without_base()
    try:
        forecast = Forecast.fitted()
    except ExtraError as error:
        return traits, (), f"There is no forecast: {error}"
    own = forecast.based if traits.based else forecast.blind
    return traits, forecast.predict(traits), own.error


def _expected(one: Expected, count: int, *, based: bool) -> Prospect:
    lacking = lacks(value_of(one.method, count), count, based=based)
    return Prospect(
        method=one.method,
        fits=not lacking,
        reason=lacking,
        quality=one.quality,
        low=one.low,
        high=one.high,
        mended=one.mended,
    )


def _prospect(cls: type[Method], count: int, *, based: bool) -> Prospect:
    lacking = lacks(cls(), count, based=based)
    return Prospect(method=kebab_name(cls), fits=not lacking, reason=lacking)


def value_of(name: str, count: int) -> Method:
    """The method as it is forecast for K models; those that are not have their defaults.

    Example:
        >>> value_of("ties", 3).density, value_of("iso-cts", 3).needs.base
        (0.2, True)
    """
    for one in CANDIDATES:
        if one.name == name:
            return one.value(count)
    return next(cls() for cls in METHODS if kebab_name(cls) == name)


def advised(prospects: Sequence[Prospect]) -> Prospect | None:
    """Of those that fit, the simplest whose forecast is about the best; none where none fits.

    Example:
        >>> best = Prospect(method="ties", fits=True, reason="", quality=1.0)
        >>> close = Prospect(method="average", fits=True, reason="", quality=0.99)
        >>> advised([best, close]).method
        'average'
    """
    fitting = [one for one in prospects if one.fits]
    known = [one for one in fitting if one.forecast]
    if not known:
        return fitting[0] if fitting else None
    most = max(one.quality for one in known)
    order = [one.name for one in CANDIDATES]
    close = [one for one in known if one.quality >= most - CLOSE]
    return min(close, key=lambda one: (order.index(one.method), one.mended))


def lacks(method: Method, count: int, *, based: bool) -> str:
    """What a method needs beyond K models (and a base), in words; '' where that is all.

    Example:
        >>> from stockpot.methods import Slerp, Ties
        >>> lacks(Slerp(), 3, based=False), lacks(Ties(), 3, based=False)
        ('takes 2 models', 'needs --base')
    """
    needs = method.needs
    least, most = needs.models
    if needs.statistics:
        name = kebab_name(type(method))
        return f"needs statistics of each model's data: stockpot statistics {name}"
    if most is not None and not least <= count <= most:
        return f"takes {most} models"
    return NO_BASE if needs.base and not based else ""


def merge_words(method: Method) -> tuple[str, ...]:
    """The method's name and those of its fields that are not the default, as the command has them.

    Example:
        >>> from stockpot.methods import Ties
        >>> merge_words(Ties(density=0.3))
        ('ties', '--density', '0.3')
    """
    usual = method_fields(type(method)())
    words = [kebab_name(type(method))]
    for key, value in method_fields(method).items():
        if value != usual[key]:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            words += [f"--{key.replace('_', '-')}", shown]
    return tuple(words)
