"""The columns of the table: what can be made of N ingredients, each in a few lines.

A column takes a subset and yields its entrants: one, or a second one with batch-norm statistics
re-estimated. COLUMNS is in the order of the table.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import nn

from ...core import Method
from ...errors import FieldError, StockpotError
from ...methods import catalogue
from ...methods.catalogue import told_apart
from ..choices.greedy import select_with_replacement
from ..choices.learned_soup import learn_weights
from ..choices.soups import soup
from ..choices.tuning import tuned_name
from ..predictions.ensembles import (
    average_head,
    features_ensemble,
    logits_ensemble,
    probabilities_ensemble,
    temperature_ensemble,
    weighted_logits,
)
from .ledger import Entrant
from .subset import Subset

Column = Callable[[Subset], Iterator[Entrant]]


def single_mean(subset: Subset) -> Iterator[Entrant]:
    """What a member drawn at random gets right."""
    yield subset.of_singles("single-mean", subset.members)


def single_best(subset: Subset) -> Iterator[Entrant]:
    """The member that is best on the selection split.

    With batch normalisation there is a second one, re-estimated as the soups are: or a soup would
    be praised for what new statistics do to any network.
    """
    yield subset.of_singles("single-best", (subset.best,))
    mended = subset.mended(subset.singles.pool.network(subset.best))
    if mended is not None:
        yield subset.of_network("single-best:bn", "single", mended)


def uniform_soup(subset: Subset) -> Iterator[Entrant]:
    """The average of all members."""
    yield from _soups(subset, "uniform-soup", subset.soup(subset.members))


def greedy_soup(subset: Subset) -> Iterator[Entrant]:
    """The average of the members that the greedy recipe accepts.

    With batch normalisation there is a second one, whose candidates are all re-estimated before
    they are scored.
    """
    network = subset.soup(subset.greedy.members)
    yield subset.of_network("greedy-soup", "merge", network)
    if subset.mended(network) is not None:
        mended = subset.mended(subset.soup(subset.greedy_mended.members))
        assert mended is not None
        yield subset.of_network("greedy-soup:bn", "merge", mended)


def learned_soup(subset: Subset) -> Iterator[Entrant]:
    """The average with weights learned on the selection split."""
    pool = subset.singles.pool
    states = [pool.network(i).state_dict() for i in subset.members]
    weights = learn_weights(pool.build(), states, pool.splits.selection, subset.options.learning)
    yield from _soups(subset, "learned-soup", soup(pool, subset.members, weights=weights))


def logits(subset: Subset) -> Iterator[Entrant]:
    """Mean of logits."""
    yield subset.of_members("logits-ensemble", logits_ensemble)


def probabilities(subset: Subset) -> Iterator[Entrant]:
    """Mean of probabilities."""
    yield subset.of_members("probabilities-ensemble", probabilities_ensemble)


def temperature(subset: Subset) -> Iterator[Entrant]:
    """Mean of logits that were brought to one scale on the selection split."""
    scales = [subset.singles.temperatures[i] for i in subset.members]
    yield subset.of_members("temperature-ensemble", lambda seen: temperature_ensemble(seen, scales))


def features(subset: Subset) -> Iterator[Entrant]:
    """Mean of features, through the average of the heads."""
    head = average_head([subset.singles.heads[i] for i in subset.members])
    yield subset.of_members("features-ensemble", lambda seen: features_ensemble(seen, head))


def features_first_head(subset: Subset) -> Iterator[Entrant]:
    """Mean of features, through the first member's head."""
    head = subset.singles.heads[subset.members[0]]
    name = "features-ensemble-first-head"
    yield subset.of_members(name, lambda seen: features_ensemble(seen, head))


def greedy_logits(subset: Subset) -> Iterator[Entrant]:
    """Mean of logits over the members of the greedy soup."""
    yield subset.of_members("greedy-logits-ensemble", logits_ensemble, subset.greedy.members)


def greedy_features(subset: Subset) -> Iterator[Entrant]:
    """Mean of features over the members of the greedy soup, through the average of their heads."""
    chosen, name = subset.greedy.members, "greedy-features-ensemble"
    head = average_head([subset.singles.heads[i] for i in chosen])
    yield subset.of_members(name, lambda seen: features_ensemble(seen, head), chosen)


def caruana_logits(subset: Subset) -> Iterator[Entrant]:
    """Mean of logits over what ensemble selection takes, with replacement."""
    selection, members = subset.singles.runs["selection"], subset.members
    counts = select_with_replacement(
        members, lambda some: subset.score(weighted_logits(selection, some))
    )
    shares = dict(enumerate(counts.values()))
    name = "caruana-logits-ensemble"
    yield subset.of_members(name, lambda seen: weighted_logits(seen, shares), tuple(counts))


def distilled(subset: Subset) -> Iterator[Entrant]:
    """One network trained on the ensemble's probabilities, from the best member's weights on."""
    pool, distil, seed = subset.singles.pool, subset.options.distil, subset.contest.seed
    if distil is None:
        raise StockpotError("distilled: give `distil=`, a function that trains the student.")
    start, targets_NL = pool.network(subset.best), subset.soft_targets("train")
    student = distil(copy.deepcopy(start), pool.splits.train, targets_NL, seed)
    yield subset.of_network("distilled", "control", student)


def merged(name: str, method: Method) -> Column:
    """Any merge method as a column; tuned first, where the setting has a budget for that.

    With batch normalisation it is tuned by networks whose statistics are re-estimated, which is
    how such merges are used.
    """

    def column(subset: Subset) -> Iterator[Entrant]:
        pool, tuning, seed = subset.singles.pool, subset.options.tuning, subset.contest.seed
        if tuning is None:
            yield from _soups(subset, name, soup(pool, subset.members, method, seed=seed))
            return
        held = pool.held(subset.members)

        def made(candidate: Method) -> nn.Module:
            return soup(held, range(len(held)), candidate, seed=seed)

        def score(candidate: Method) -> float:
            network = made(candidate)
            mended = subset.mended(network)
            return subset.network_score(network if mended is None else mended, name)

        place = {"subset": subset.number, "seed": pool.seed}
        sign = subset.contest.metric.sign
        best = tuning.tune(name, method, score, count=len(held), sign=sign, place=place)
        yield from _soups(subset, tuned_name(name, method, tuning.budget), made(best))

    return column


def _soups(subset: Subset, name: str, network: nn.Module) -> Iterator[Entrant]:
    yield subset.of_network(name, "merge", network)
    mended = subset.mended(network)
    if mended is not None:
        yield subset.of_network(f"{name}:bn", "merge", mended)


COLUMNS: Mapping[str, Column] = {
    "single-mean": single_mean,
    "single-best": single_best,
    "uniform-soup": uniform_soup,
    "greedy-soup": greedy_soup,
    "learned-soup": learned_soup,
    "logits-ensemble": logits,
    "probabilities-ensemble": probabilities,
    "temperature-ensemble": temperature,
    "features-ensemble": features,
    "features-ensemble-first-head": features_first_head,
    "greedy-logits-ensemble": greedy_logits,
    "greedy-features-ensemble": greedy_features,
    "caruana-logits-ensemble": caruana_logits,
    "distilled": distilled,
}

WITHOUT_TRAINING = tuple(name for name in COLUMNS if name not in ("learned-soup", "distilled"))
"""What a comparison holds unless it is told otherwise."""


REFERENCES = ("single-mean", "single-best", "logits-ensemble")
"""What any method is compared with; they cost no run of a network beyond the members'."""


def beside_references(methods: Sequence[str | Method]) -> tuple[str | Method, ...]:
    """Those methods, and what any method is compared with before them where it is not there."""
    return (*(name for name in REFERENCES if name not in methods), *methods)


def find_columns(methods: Sequence[str | Method]) -> dict[str, tuple[Column, Method | None]]:
    """Columns by their names in the table, and the merge method where it is one.

    Two values of one method are told apart by the fields in which they differ.

    Raises:
        FieldError: for an unknown name, or the same column twice.
    """
    found: dict[str, tuple[Column, Method | None]] = {}
    values = [one if isinstance(one, str) and one in COLUMNS else _method(one) for one in methods]
    names = iter(told_apart([one for one in values if not isinstance(one, str)]))
    for one in values:
        if isinstance(one, str):
            name, entry = one, (COLUMNS[one], None)
        else:
            name = next(names)
            entry = (merged(name, one), one)
        if name in found:
            raise FieldError(f"methods: '{name}' stands twice.")
        found[name] = entry
    return found


def _method(value: object) -> Method:
    if isinstance(value, str):
        catalogue.FAMILY.find(value, beside=COLUMNS, most=40)
    return catalogue.read_method(value)
