"""Members chosen one at a time on the selection split: the greedy soup, and ensemble selection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GreedyStep:
    """One candidate, the score with it, and whether it stayed."""

    candidate: int
    score: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Greedy:
    """What was accepted, in order, its score, and how it came about."""

    members: tuple[int, ...]
    score: float
    steps: tuple[GreedyStep, ...]


def greedy_members(
    scores: Mapping[int, float], score: Callable[[tuple[int, ...]], float]
) -> Greedy:
    """Members of the greedy soup.

    Candidates are sorted by their own score, best first (equals as they were given). The best is
    in; each next one stays if the soup of those accepted so far and it scores at least as well as
    without it. The soup is always the plain average of its members.

    Args:
        scores: of each candidate alone, on the selection split; larger is better.
        score: of the soup of some candidates, on the same split; asked at most K - 1 times.

    Source: Wortsman et al., Model soups, ICML 2022, arXiv 2203.05482, recipe 1.
    """
    first, *rest = sorted(scores, key=lambda one: -scores[one])
    members, best = (first,), scores[first]
    steps = [GreedyStep(first, best, accepted=True)]
    for candidate in rest:
        found = score((*members, candidate))
        stays = found >= best
        steps.append(GreedyStep(candidate, found, stays))
        if stays:
            members, best = (*members, candidate), found
    return Greedy(members, best, tuple(steps))


def select_with_replacement(
    candidates: Sequence[int], score: Callable[[Mapping[int, int]], float]
) -> Mapping[int, int]:
    """How often each candidate is in the ensemble that Caruana's forward selection finds.

    Each of K rounds adds the candidate, possibly again, with which the ensemble scores best; the
    ensemble of the best round is taken, the smaller of equals.

    Args:
        candidates: K, in the order that decides between equals.
        score: of an ensemble with these counts, on the selection split; larger is better.

    Source: Caruana et al., Ensemble selection from libraries of models, ICML 2004.
    """
    counts: dict[int, int] = {}
    taken, best = counts, float("-inf")
    for _ in candidates:
        grown = [counts | {one: counts.get(one, 0) + 1} for one in candidates]
        found = [score(one) for one in grown]
        # NaN is no score: it never wins.
        at = max(range(len(found)), key=lambda i: (found[i] == found[i], found[i]))
        counts = grown[at]
        if found[at] > best:
            taken, best = counts, found[at]
    return taken or {candidates[0]: 1}
