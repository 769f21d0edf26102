"""Which merge methods can be run on what is given, and what is forecast of each."""

from collections.abc import Sequence

from ...core import Method
from ...fields import kebab_name
from ...methods import METHODS
from ...methods.catalogue import method_fields
from .findings import Prospect


def prospects_of(count: int, *, based: bool) -> tuple[Prospect, ...]:
    """Every method of this version: whether K models, with or without a base, are enough for it."""
    return tuple(_prospect(cls, count, based=based) for cls in METHODS)


def _prospect(cls: type[Method], count: int, *, based: bool) -> Prospect:
    name, lacking = kebab_name(cls), lacks(cls(), count, based=based)
    return Prospect(method=name, fits=not lacking, reason=lacking)


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
    return "needs --base" if needs.base and not based else ""


def merge_flags(method: Method) -> Sequence[str]:
    """The method's name and those of its fields that are not the default, as the command has them.

    Example:
        >>> from stockpot.methods import Ties
        >>> merge_flags(Ties(density=0.3))
        ['ties', '--density', '0.3']
    """
    usual = method_fields(type(method)())
    words = [kebab_name(type(method))]
    for key, value in method_fields(method).items():
        if value != usual[key]:
            words += [f"--{key.replace('_', '-')}", str(value)]
    return words
