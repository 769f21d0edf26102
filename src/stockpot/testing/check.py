"""Every law on a few cases of a method: `check_method`, and what it finds in sentences."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from ..core import SEGMENT, Method, Reach
from ..errors import FieldError, StockpotError
from ..functions import failure
from ..values.fields import nearest
from . import laws, values
from .cases import DTYPES, KINDS, Case, edges, on_grid, smooth

SMALL = ((33,), (3, 5), (), (1,), (0, 3), (2, 3, 4), (130,))
LONG = 2 * SEGMENT + 77
ROUNDINGS = 8.0
"""By which copies may differ from the model: a plain weighted sum has a few."""


class LawsBroken(AssertionError):
    """A method keeps some laws not; the text has a sentence for each.

    Attributes:
        broken: by the name of each law what is wrong.
    """

    def __init__(self, name: str, broken: Mapping[str, str]) -> None:
        listed = "\n".join(f"  {law}: {what}." for law, what in broken.items())
        super().__init__(f"{name} breaks {len(broken)} of the laws of merge methods:\n{listed}")
        self.broken = dict(broken)


def check_method(method: Method, *, excused: Mapping[str, str] | None = None) -> None:
    """Try every law of merge methods on a value: for tests of a method of one's own.

    The laws are what the engine relies on (blocks, order, seeds, inputs that are not changed), what
    a recipe relies on (fields, names), and what a merge is expected to be (copies, translation).
    It takes a second or two. Models are random, with a fixed seed.

    Args:
        method: the value; a class has several that are worth a try.
        excused: by the name of a law why this method cannot keep it. It is tried all the same, and
            must be broken, so that an excuse does not outlive its cause.

    Raises:
        LawsBroken: with a sentence for each law that is broken, or kept though excused.
        FieldError: an excuse from a law that does not exist.

    Example:
        >>> from stockpot.methods import Slerp
        >>> check_method(Slerp(), excused={"translation": "the angle is seen from the origin"})
    """
    excused = excused or {}
    if unknown := [law for law in excused if law not in LAWS]:
        raise FieldError(f"there is no law '{unknown[0][:80]}'{nearest(unknown[0], LAWS)}")
    broken = broken_laws(method)
    wrong = {law: what for law, what in broken.items() if law not in excused}
    for law in excused:
        if law not in broken:
            wrong[law] = "it is excused from this law and keeps it: take the excuse out"
    if wrong:
        raise LawsBroken(repr(method), wrong)


def broken_laws(method: Method) -> dict[str, str]:
    """By the name of each law that the method breaks what is wrong, in a sentence.

    Example:
        >>> from stockpot.methods import Average
        >>> broken_laws(Average())
        {}
    """
    broken: dict[str, str] = {}
    for name, law in LAWS.items():
        try:
            law(method)
        except (AssertionError, StockpotError) as error:
            broken[name] = str(error).rstrip(".")
        except Exception as error:  # it is the user's code: anything may come
            broken[name] = f"it fails with {failure(error)}".rstrip(".")
    return broken


def _counts(method: Method) -> Sequence[int]:
    """Numbers of models that it takes."""
    low, high = method.needs.models
    return [n for n in dict.fromkeys((low, 2, 3)) if n >= low and (high is None or n <= high)]


def _weights(method: Method, count: int) -> list[float] | None:
    return None if method.needs.weights == "unused" else [0.5 + k for k in range(count)]


def _cases(
    method: Method,
    shapes: Sequence[tuple[int, ...]] = SMALL,
    dtypes: Sequence[torch.dtype] = DTYPES,
) -> Iterator[Case]:
    for seed, count in enumerate(_counts(method)):
        for dtype in dtypes:
            for make in (on_grid, smooth) if dtype == torch.float32 else (smooth,):
                base, models = make(shapes, count, seed, dtype)
                given = base if method.needs.base else None
                yield Case(method, models, given, _weights(method, count))


def _exact(method: Method) -> Iterator[Case]:
    """Models on a grid, whose sums are exact."""
    for seed, count in enumerate(_counts(method)):
        base, models = on_grid(SMALL, count, seed)
        yield Case(method, models, base if method.needs.base else None, _weights(method, count))


def _inputs(method: Method) -> None:
    for case in _cases(method, [(33,), (3, 5)]):
        laws.keeps_inputs(case)


def _kept(method: Method) -> None:
    for case in _cases(method):
        laws.keeps_names_shapes_dtypes(case)


def _finite(method: Method) -> None:
    for kind in KINDS:
        for count in _counts(method):
            for dtype in (torch.float32, torch.bfloat16):
                base, models = edges(kind, count, dtype)
                given = base if method.needs.base else None
                laws.stays_finite(Case(method, models, given, _weights(method, count)))


def _copies(method: Method) -> None:
    for case in _cases(method):
        laws.gives_copies_back(case, roundings=ROUNDINGS)


def _permutation(method: Method) -> None:
    if method.needs.symmetric:
        for case in _exact(method):
            laws.ignores_order_of_models(case, list(range(len(case.models)))[::-1])


def _translation(method: Method) -> None:
    for case in _exact(method):
        laws.moves_along(case, 1.5)


def _blocks(method: Method) -> None:
    if method.needs.whole:
        return
    for case in _cases(method, [(LONG,)], [torch.float32]):
        laws.works_by_blocks(case, "layers.0.weight", [1, 2], [2, 0, 1])


def _apart(method: Method) -> None:
    selects = type(method).select is not Method.select
    if method.needs.reach is Reach.MODEL or selects or method.needs.statistics:
        return
    for case in _cases(method, dtypes=[torch.float32]):
        laws.merges_tensors_apart(case)


def _order(method: Method) -> None:
    for case in _cases(method, dtypes=[torch.float32, torch.bfloat16]):
        laws.ignores_order_of_tensors(case, list(case.models[0])[::-1])


def _seeds(method: Method) -> None:
    for case in _cases(method, dtypes=[torch.float32]):
        laws.repeats_by_seed(case, 7)


def _use_of_weights(method: Method) -> None:
    if method.needs.weights != "unused" and max(_counts(method)) > 1:
        *_, case = _cases(method, dtypes=[torch.float32])
        laws.uses_weights_as_declared(case)


def _use_of_base(method: Method) -> None:
    for case in _cases(method, [(3, 5)], [torch.float32]):
        if not method.needs.statistics:
            laws.reaches_as_declared(case, "layers.0.weight")


LAWS: Mapping[str, Callable[[Method], None]] = {
    "value": values.is_a_value,
    "name": values.is_found_again,
    "bounds": values.refuses_what_is_out_of_bounds,
    "inputs": _inputs,
    "kept": _kept,
    "base": _use_of_base,
    "weights": _use_of_weights,
    "blocks": _blocks,
    "apart": _apart,
    "order": _order,
    "seeds": _seeds,
    "permutation": _permutation,
    "finite": _finite,
    "copies": _copies,
    "translation": _translation,
}
"""By their names, in the order in which they are tried."""
