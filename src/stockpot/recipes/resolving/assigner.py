"""Building the assignment of one tensor after the other, and gathering what stands in the way."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.roles import Role
from ...core import Method, Needs
from ...errors import MergeError
from ...values.fields import kebab_name
from ..reading.recipe import Recipe
from .assignment import ONLY_IN, Assignment, Beside
from .differences import Differences, dtype_name, is_mergeable, renamed_models
from .fit import Participants, joint_dtype, mean_weights, statistics_weights
from .following import AnyOf, Follower
from .rules import NORM_STATS, Decision
from .statistics import find_statistics


class Assigner:
    """Builds assignments one by one, and gathers every difference that forbids one."""

    def __init__(
        self, recipe: Recipe, ingredients: Participants, matched: Sequence[str] = ()
    ) -> None:
        self.recipe = recipe
        self._matched = matched
        self.models = ingredients.models
        self.base = ingredients.base
        self.statistics = ingredients.statistics
        self.weights = ingredients.weights or (1.0,) * len(ingredients.models)
        self.shift = int(ingredients.base_is_first)  # the recipe does not count the base
        self.done: dict[str, Assignment] = {}
        self.differences = Differences()
        self._needs: dict[Method, Needs] = {}
        self._shares: dict[tuple[object, ...], tuple[float, ...]] = {}
        self._lacking: set[str] = set()
        self._indices: dict[tuple[int, ...], tuple[int, ...]] = {}

    def add(self, name: str, role: Role, decision: Decision) -> None:
        """Assign one tensor, or tell why that cannot be."""
        if decision.method is None:
            assignment = self._copy(name, role, decision)
        else:
            assignment = self._merge(name, role, decision, decision.method)
        if assignment is not None:
            self.done[name] = self._tie(assignment)

    def follow(self, name: str, role: Role, follower: Follower) -> None:
        """Assign a tensor that follows another, which was assigned before it."""
        leader = self.done.get(follower.of)
        if leader is None:
            return  # why not was told
        if leader.copy_from is not None:
            assignment = self._copied_with(name, role, leader)
        else:
            assignment = self._derived(name, role, follower, leader)
        if assignment is not None:
            self.done[name] = assignment

    def finish(self, order: Iterable[str]) -> tuple[Assignment, ...]:
        """All assignments, in the order of their names that is given.

        Raises:
            MergeError: every difference that was found, the first twenty in words; or tensors that
                are missing leave nothing to merge.
        """
        lends = self.recipe.missing == "base"
        self.differences.raise_if_any(self.models, self.base, lends, self._matched)
        self._refuse_union()
        return tuple(self.done[name] for name in order)

    def _copied_with(self, name: str, role: Role, leader: Assignment) -> Assignment | None:
        """A copy from where the other is copied."""
        of = self._checkpoint_of(leader)
        if name not in of.entries:
            return self.differences.add(
                f"'{leader.name}' is copied from {of.label}, which lacks '{name}' beside it."
            )
        return self._copied(name, role, of.entries[name], f"with '{leader.name}': {leader.rule}")

    def _checkpoint_of(self, copied: Assignment) -> Checkpoint:
        known = (*self.models, *([] if self.base is None else [self.base]))
        return next(
            c
            for c in known
            if copied.name in c.entries and c.entries[copied.name].as_stored is copied.copy_from
        )

    def _derived(
        self, name: str, role: Role, follower: Follower, leader: Assignment
    ) -> Assignment | None:
        """What follows from the other as it is merged; all that take part must have it."""
        models = [self.models[index] for index in leader.models]
        having = [*models, *([self.base] if leader.base is not None and self.base else [])]
        if lacking := [one for one in having if name not in one.entries]:
            first = next(c for c in having if name in c.entries)
            for one in lacking:
                self.differences.lacks(name, one.label, first.label, False)
            return None
        own = [one.entries[name] for one in models]
        derivation = follower.derivation(name, own[0].shape)
        if derivation is None:
            labelled = [(m.label, e) for m, e in zip(models, own, strict=True)]
            if len({entry.shape for entry in own}) > 1:
                self.differences.agree(name, labelled, "0")
                return None
            return Assignment(
                name=name,
                role=role,
                shape=own[0].shape,
                dtype=own[0].dtype,
                method=AnyOf(),
                weights=(1.0,) * len(own),
                sources=tuple(own),
                models=leader.models,
                key=name,
                rule=f"pruning: what any model keeps, with '{leader.name}'",
            )
        return Assignment(
            name=name,
            role=role,
            shape=own[0].shape,
            dtype=self._dtype(name, own),
            derivation=derivation,
            parts=tuple(models[0].entries[part] for part in follower.parts),
            key=name,
            rule=derivation.words,
        )

    def _refuse_union(self) -> None:
        """Refuse `missing: present` where it would write networks side by side, none merged."""
        alone = {a.name for a in self.done.values() if self._is_partial(a)}
        if self.recipe.missing != "present" or not alone:
            return
        for sentence, names in renamed_models(self.models, None).items():
            if names & alone:
                raise MergeError(
                    f"--missing present would write both sets of names side by side: {sentence}"
                )
        merged = [a for a in self.done.values() if a.method is not None or a.name in alone]
        floats = [a.name for a in merged if is_mergeable(a.dtype)]
        if not any(sum(name in m.entries for m in self.models) > 1 for name in floats):
            raise MergeError(
                "no tensor of numbers is in two models: --missing present would write the "
                "networks side by side and merge nothing."
            )

    def _is_partial(self, assignment: Assignment) -> bool:
        """Whether some of the models lack a tensor that is merged."""
        fewer = 0 < len(assignment.sources) < len(self.models)
        return fewer or assignment.rule.startswith(ONLY_IN)

    def _merge(
        self, name: str, role: Role, decision: Decision, method: Method
    ) -> Assignment | None:
        needs = self._needs.get(method) or self._needs.setdefault(method, method.needs)
        taken = self._take(name)
        if taken is None:
            return None
        low = needs.models[0]
        if len(taken) == 1 < low:
            ((index, entry),) = taken.items()
            return self._copied(name, role, entry, f"{ONLY_IN} {self.models[index].label}")
        if len(taken) < low:
            return self.differences.add(
                f"'{name}' is in {len(taken)} of {len(self.models)} models; "
                f"{kebab_name(type(method))} takes at least {low}."
            )
        found = [(self.models[index].label, entry) for index, entry in taken.items()]
        base = None
        if needs.base and self.base is not None:
            base = self.base.entries.get(name)
            if base is None:
                kebab = kebab_name(type(method))
                return self.differences.base_lacks(name, self.base.label, kebab)
            found.append((self.base.label, base))
        if not self.differences.agree(name, found, "0" if self.base is None else "base"):
            return None
        indices = self._indices.setdefault(tuple(taken), tuple(taken))  # one for all tensors
        seen = decision.view or found[0][1].shape
        statistics = find_statistics(name, needs.statistics, taken, seen, self.statistics)
        if isinstance(statistics, str):
            return self.differences.add(statistics)
        if len(indices) < len(self.models):
            method = method.among(indices)
        kind = "policy" if decision is NORM_STATS else needs.weights
        beside = self._beside(name, decision.joined, indices, base is not None)
        if beside is None:
            return None
        own = decision.joined.index(name) if decision.joined else 0
        return Assignment(
            name=name,
            role=role,
            shape=found[0][1].shape,
            dtype=self._dtype(name, [entry for _, entry in found]),
            is_complex=found[0][1].is_complex,
            method=method,
            view=decision.view,
            joined=decision.joined,
            above=beside[:own],
            below=beside[own:],
            weights=self._weights(name, indices, method, kind),
            sources=tuple(taken.values()),
            models=indices,
            base=base,
            statistics=statistics,
            key=name,
            rule=decision.rule,
        )

    def _take(self, name: str) -> dict[int, TensorEntry] | None:
        """By model the tensors that take part; what forbids that is told once, whoever asks."""
        if name in self._lacking:
            return None
        taken = self._look_up(name)
        if taken is None:
            self._lacking.add(name)
        return taken

    def _look_up(self, name: str) -> dict[int, TensorEntry] | None:
        """By model the tensors of that name, under the policy for missing ones."""
        taken = {k: m.entries[name] for k, m in enumerate(self.models) if name in m.entries}
        if len(taken) == len(self.models) or self.recipe.missing == "present":
            return taken
        lent = None
        if self.recipe.missing == "base" and self.base is not None:
            lent = self.base.entries.get(name)
        if lent is not None:
            return {k: taken.get(k, lent) for k in range(len(self.models))}
        having = self.models[next(iter(taken))].label
        for k, model in enumerate(self.models):
            if k not in taken:
                self.differences.lacks(name, model.label, having, self.recipe.missing == "base")
        return None

    def _beside(
        self, name: str, joined: Sequence[str], models: Sequence[int], with_base: bool
    ) -> tuple[Beside, ...] | None:
        """The others of the tensors that are seen as one, from the same models."""
        found: list[Beside] = []
        for other in joined:
            if other == name:
                continue
            taken = self._take(other)
            if taken is None:
                return None
            of = self.base.entries.get(other) if with_base and self.base is not None else None
            if tuple(taken) != tuple(models) or (with_base and of is None):
                return self.differences.add(
                    f"'{name}' is merged as one matrix with '{other}', which is not in the same "
                    "models: set qkv to 'stored'."
                )
            found.append(Beside(tuple(taken.values()), of))
        return tuple(found)

    def _weights(
        self, name: str, indices: tuple[int, ...], method: Method, kind: str
    ) -> tuple[float, ...]:
        if (kind, indices) not in self._shares:
            weights = tuple(self.weights[index] for index in indices)
            if kind == "policy":
                weights = statistics_weights(self.recipe.method, weights)
            elif kind == "mean":
                weights = mean_weights(weights, f"{kebab_name(type(method))} of '{name}'")
            elif kind == "unused":
                weights = (1.0,) * len(weights)
            self._shares[kind, indices] = weights
        return self._shares[kind, indices]

    def _copy(self, name: str, role: Role, decision: Decision) -> Assignment | None:
        if decision.copy == "anchor":
            order = self.models if self.base is None else (self.base, *self.models)
            having = [checkpoint for checkpoint in order if name in checkpoint.entries]
            # a merge in half precision may have spoilt the integers of one
            whole = [one for one in having if not one.entries[name].dtype.is_floating_point]
            source = (whole if whole and role is Role.COUNTER else having)[0]
        elif isinstance(decision.copy, int):
            source = self.models[decision.copy + self.shift]
        else:
            source = self.base
        assert source is not None
        if name not in source.entries:
            return self.differences.add(
                f"'{name}' is to be copied from {source.label}, which does not have it."
            )
        return self._copied(name, role, source.entries[name], decision.rule)

    def _copied(self, name: str, role: Role, entry: TensorEntry, rule: str) -> Assignment:
        entry = entry.as_stored
        return Assignment(
            name=name,
            role=role,
            shape=entry.shape,
            dtype=self._dtype(name, [entry]),
            is_complex=entry.is_complex,
            copy_from=entry,
            key=name,
            rule=rule,
        )

    def _dtype(self, name: str, entries: Sequence[TensorEntry]) -> torch.dtype:
        first = entries[0].dtype if entries[0].is_complex else entries[0].stored_dtype
        asked = self.recipe.output.dtype
        if asked != "same" and is_mergeable(first) and not entries[0].is_complex:
            return getattr(torch, asked)
        dtypes = {entry.dtype if entry.is_complex else entry.stored_dtype for entry in entries}
        if len(dtypes) == 1:
            return first
        joint = joint_dtype(dtypes)
        if joint is None:
            kinds = " and ".join(sorted(map(dtype_name, dtypes)))
            self.differences.add(f"'{name}' is {kinds}, which no dtype joins: pass --dtype.")
        return joint or first

    def _tie(self, assignment: Assignment) -> Assignment:
        """With the key of an earlier tensor that is made alike of the very same bytes."""
        alias_of = assignment.entries[0].alias_of
        twin = None if alias_of is None else self.done.get(alias_of)
        if twin is None or _made(twin) != _made(assignment):
            return assignment
        return replace(assignment, key=twin.key, role=Role.TIED_ALIAS)


def _made(assignment: Assignment) -> tuple[object, ...]:
    read = [(id(entry.source), entry.offset) for entry in assignment.entries]
    a = assignment
    return a.method, a.view, a.joined, a.weights, a.dtype, a.shape, read
