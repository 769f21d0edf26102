"""Which method, or which copy, each tensor gets, and which line of the recipe said so."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from typing import Literal

from ...checkpoints.roles import Role
from ...core import Method
from ...errors import MergeError
from ...methods import Average
from ..reading.layers import other_stacks, spread
from ..reading.recipe import Recipe, Rule

Copy = int | Literal["base", "anchor"]
"""The index of a model, the base, or 'anchor': the base, else the first model that has it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one tensor gets, a method or a copy, and which line of the recipe said so.

    `view` is the shape in which a method sees the tensor that is defined for some only; `joined`
    names the tensors that it sees as one.
    """

    method: Method | None
    copy: Copy | None
    rule: str
    view: tuple[int, ...] | None = None
    joined: tuple[str, ...] = ()


_EXCLUDED = Decision(None, "anchor", "only: no pattern matches, copied")
NORM_STATS = Decision(Average(), None, "policy: norm-stats are averaged")
_STATISTICS = {
    Role.COUNTER: Decision(None, "anchor", "policy: counters are copied"),
    Role.NORM_STAT: NORM_STATS,
}


class Glob:
    """A pattern of fnmatch, compiled once; case matters."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.matches = re.compile(translate(pattern)).match


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule ready for use on many tensors."""

    glob: Glob | None
    role: Role | None
    decision: Decision

    def matches(self, name: str, role: Role) -> bool:
        return role == self.role if self.glob is None else bool(self.glob.matches(name))

    @property
    def reaches_statistics(self) -> bool:
        """Whether it applies to counters and norm-stats: any copy, or a method that names them."""
        if self.glob is None or self.decision.method is None:
            return True
        return not re.search(r"[*?\[]", self.glob.pattern.rpartition(".")[2])


def decide(
    recipe: Recipe, roles: Mapping[str, Role], tied: Mapping[str, str] | None = None
) -> tuple[dict[str, Decision], tuple[str, ...]]:
    """A decision for each tensor of `roles`, and notes about rules without effect and stacks.

    The first of these that says anything wins: the recipe's rules, in order; the fixed policy that
    counters are copied and norm-stats averaged; `layers`; the recipe's method. What `only` leaves
    out is copied where the winner would merge it. A rule with a method reaches counters and
    norm-stats only if it names them: by role, or by a pattern whose last component has no
    wildcard, such as `*.running_mean`. `tied` are names that are left out, each with the one
    that stands for it.

    Raises:
        MergeError: a rule or an `only` pattern matches no tensor; the text names close ones.
    """
    names = tuple(roles)
    rules = [_compile(recipe, index, rule) for index, rule in enumerate(recipe.rules)]
    only = [Glob(pattern) for pattern in recipe.only]
    for glob in only:
        if not any(map(glob.matches, names)):
            raise MergeError(f"only: {_no_match(glob.pattern, names, tied or {})}")
    layered = {
        name: Decision(method, None, why)
        for name, (method, why) in spread(recipe.method, recipe.layers, names, recipe.stack).items()
    }
    stacks = other_stacks(names) if recipe.layers and recipe.stack is None else ()
    default = Decision(recipe.method, None, "method")
    naming = [rule for rule in rules if rule.reaches_statistics]

    decisions: dict[str, Decision] = {}
    for name, role in roles.items():
        among = naming if role in _STATISTICS else rules
        found = next((rule.decision for rule in among if rule.matches(name, role)), None)
        found = found or _STATISTICS.get(role) or layered.get(name, default)
        if found.method is not None and only and not any(glob.matches(name) for glob in only):
            found = _EXCLUDED
        decisions[name] = found
    used = {decision.rule for decision in decisions.values()}
    idle = [rule for rule in rules if rule.decision.rule not in used]
    return decisions, (*stacks, *(_why_idle(rule, roles, tied or {}) for rule in idle))


def _compile(recipe: Recipe, index: int, rule: Rule) -> _Rule:
    copy = None if rule.copy_from is None else recipe.copied_model(rule.copy_from)
    glob = None if rule.match is None else Glob(rule.match)
    return _Rule(glob, rule.role, Decision(rule.method, copy, f"rules[{index}]: {rule}"))


def _why_idle(rule: _Rule, roles: Mapping[str, Role], tied: Mapping[str, str]) -> str:
    """A note about a rule that decides nothing; an error if it matches nothing."""
    place = rule.decision.rule
    if any(rule.matches(name, role) for name, role in roles.items()):
        return (
            f"{place} decides no tensor: earlier rules, `only`, or the policy for counters and "
            "norm-stats take all that it matches."
        )
    if rule.glob is not None:
        why = _no_match(rule.glob.pattern, tuple(roles), tied)
        raise MergeError(f"{place.partition(':')[0]}: {why}")
    there = ", ".join(sorted(set(roles.values())))
    raise MergeError(f"{place}: no tensor has this role; there are {there}.")


def _no_match(pattern: str, names: Sequence[str], tied: Mapping[str, str]) -> str:
    """Say that a glob matches no name, and which it might have meant."""
    if second := next((name for name in tied if Glob(pattern).matches(name)), None):
        return f"'{second}' is tied to '{tied[second]}' and merged as that: name '{tied[second]}'."
    text = f"no tensor's name matches '{pattern[:200]}'"
    known = {component for name in names for component in name.split(".")}
    mended = ".".join(
        (get_close_matches(part, known, 1) or [part])[0] if part and part not in known else part
        for part in pattern[:200].split(".")
    )
    meant = [name for name in names if Glob(mended).matches(name)]
    if meant:
        more = f" and {len(meant) - 1} more" if len(meant) > 1 else ""
        return f"{text}: did you mean '{mended}', which matches '{meant[0]}'{more}?"
    close = get_close_matches(pattern.strip("*."), names[:2000], 3, 0.4) or names[:3]
    return f"{text}; names are such as " + ", ".join(f"'{name}'" for name in close) + "."
