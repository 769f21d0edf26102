"""The ways to make one body of several tasks' bodies, by their names in the table."""

from collections.abc import Sequence

from ...core import Method
from ...errors import FieldError
from ...experiments.adaptation import Adamerging
from ...methods import Average
from ...methods.catalogue import told_apart
from ...typed import to_floats
from ..choices.adamerging import Adapted
from ..results.comparison import ADAPTED_WORDS
from .bodies import TaskNetwork

MERGED = "uniform-soup"
"""What the plain average of bodies is called."""

ENSEMBLE = "logits-ensemble"

SEQUENTIAL = "sequential"
"""The last task's body for all: what is left of the others where tasks were trained in turn."""

BodyMethod = Method | Adamerging | None
"""A way to make one body of several; nothing for the ensemble and for a body that there is."""


def body_methods(methods: Sequence[str | Method | Adamerging]) -> dict[str, BodyMethod]:
    """Methods by their names in the table; the ensemble and the last body are none."""
    values = [Average() if one == MERGED else one for one in methods]
    unknown = [o for o in values if isinstance(o, str) and o not in (ENSEMBLE, SEQUENTIAL)]
    if unknown:
        known = f"{MERGED}, {ENSEMBLE} or {SEQUENTIAL}"
        raise FieldError(f"cross-task: give method values, {known}; got {unknown}.")
    names = iter(told_apart([one for one in values if not isinstance(one, str)]))
    found: dict[str, BodyMethod] = {}
    for one in values:
        name = one if isinstance(one, str) else next(names)
        name = MERGED if one == Average() else name
        if name in found:
            raise FieldError(f"cross-task: '{name}' stands twice among the methods.")
        found[name] = None if isinstance(one, str) else one
    return found


def needs_base(method: BodyMethod) -> bool:
    """Whether it starts from what the bodies were fine-tuned from."""
    return isinstance(method, Adamerging) or (method is not None and method.needs.base)


def is_adapted(method: BodyMethod) -> bool:
    """Whether it has seen inputs of the test split."""
    return isinstance(method, Adamerging) and method.inputs == "test"


def adaptation_fact(how: Adamerging, found: Adapted, tasks: Sequence[TaskNetwork]) -> str:
    """On what it was adapted, and what came of it."""
    where = ADAPTED_WORDS if how.inputs == "test" else "adapted on unlabelled selection inputs"
    means = to_floats(found.coefficients.mean(dim=0))
    said = ", ".join(f"{task.name} {one:.3f}" for task, one in zip(tasks, means, strict=True))
    moved = [f"{found.entropies[at]:.3f}" for at in (0, -1)] if found.entropies else []
    entropy = f"; mean entropy from {moved[0]} to {moved[1]} nats" if moved else ""
    return f"{where}: {how.steps} steps; mean coefficients {said}{entropy}"
