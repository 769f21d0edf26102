"""Weight Weaving (Chaves et al., Parameter pooling for data-free merging, arXiv 2510.13921)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from ..core import Costs, Described, Facts, Method, Needs, Reach, Selection, Settled, Stack
from ..errors import FieldError
from ..lazy import Tensor
from ..ops.abreast import (
    Abreast,
    Merges,
    Parts,
    is_final,
    settle_abreast,
    settlers,
    survey_abreast,
)
from ..ops.means import affine
from ..ops.pools import choose, every_so_many, farthest
from ..values.fields import (
    Grid,
    check_fields,
    field_specs,
    kebab_name,
)
from .grids import checked_grid, grid_among, grid_points, joint_costs, joint_needs
from .ties import Ties

_METHOD, _SCALES = Ties(), Grid.of({"scale": [tenth / 10 for tenth in range(1, 11)]})
_HELD = 4
"""Rows of a block that pooling holds."""


@dataclass(frozen=True, slots=True)
class Weave(Method):
    """Merge at every point of a grid of a method's fields, and pool the merges.

    θ = pool { f(θ_0, {θ_k}; λ) : λ in the grid },   f the method, λ its fields

    A method's best scale is a matter of tasks and data that merging does not look at; pooling
    over where it may lie takes the place of tuning it. It helps where the tasks' best values lie
    apart, and costs a little where they do not.

    Attributes:
        method: f, any method value; fields that the grid does not name stay as they are in it.
        grid: the values of each field; of several fields, all combinations. In YAML and flags
            {scale: [0.5, 1], density: [0.1, 0.2]}.
        pool: "mean" of the grid points; "random", for each element one of them, each as likely;
            "largest", for each element the one farthest from the base, or where the method takes
            none from the average of the models; or a method value, whose models are the points.
        raw: "include" counts the models themselves among what is pooled, as the paper's
            augmentation with the raw task vectors does; "omit" does not.

    Needs: what the method and the pool need.
    Cost: one map of each grid point in one pass, two points in memory; for a method as pool all
        of them. What must be known of a tensor or the model beforehand is surveyed in the same
        passes for all points, and once for those that share it: thresholds do not depend on the
        scale. A pool that reaches beyond the element surveys the points in passes of its own.
    Deviations: f linear in the grid's one field and pooled by mean is f at the mean of the grid,
        as it is for the scale of ties and task arithmetic: what changes there is the choice of
        scale and, with raw, the share of the models themselves. Of two points equally far apart
        "largest" takes the larger. Points share the draws of a random method.
    Example:
        >>> import torch, stockpot as sp
        >>> from stockpot.methods import TaskArithmetic
        >>> base, model = {"w": torch.zeros(2)}, {"w": torch.tensor([1.0, 2.0])}
        >>> weave = Weave(TaskArithmetic(), grid={"scale": (0.5, 1.0, 1.5)}, pool="largest")
        >>> sp.merge([model], weave, base=base)
        {'w': tensor([1.5000, 3.0000])}

    Source: Chaves et al., UniReps 2025, arXiv 2510.13921.
    """

    method: Method = _METHOD
    grid: Mapping[str, Sequence[object]] = _SCALES
    pool: Literal["mean", "random", "largest"] | Method = "mean"
    raw: Literal["omit", "include"] = "omit"

    def __post_init__(self) -> None:
        check_fields(self)
        try:
            object.__setattr__(self, "grid", checked_grid(self.method, self.grid))
            _ = self.needs
        except FieldError as error:
            raise FieldError(f"weave: {error}") from None

    @property
    def needs(self) -> Needs:
        """What the points need together, and the pool."""
        return _laid_out(self).needs

    @property
    def costs(self) -> Costs:
        """What running the points takes, and the pool."""
        return _laid_out(self).costs

    def survey(self, stack: Stack, hint: Settled | None) -> Abreast:
        """Facts of the points that have not settled; once all have, of the pool's method."""
        out, parts = _laid_out(self), self._parts(hint)
        count = len(out.settlers)
        if not all(map(is_final, parts[:count])):
            return survey_abreast(out.settlers, stack, parts[:count])
        (pool,) = out.pool
        points = self._as_models(pool, stack, parts)
        if count and parts[-1] is None and pool.needs.sample:
            points = every_so_many(points)
        return Abreast((pool.survey(points, parts[-1]),), (*[None] * count, 0))

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        """What the points and the pool's method settle, side by side."""
        assert isinstance(facts, Abreast)
        out = _laid_out(self)
        parts = settle_abreast((*out.settlers, *out.pool), facts, self._parts(hint))
        told = [dict(part.report) if part else dict[str, object]() for part in parts]
        report: dict[str, object] = {"pool": told.pop()} if out.pool else {}
        if told:
            report["points"] = [
                {name: getattr(method, name) for name in self._telling(method)} | facts
                for method, facts in zip(out.settlers, told, strict=True)
            ]
        return Settled({}, report, all(map(is_final, parts)), parts)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """Merge at each point, and pool."""
        parts = self._parts(settled)
        if isinstance(self.pool, Method):
            last = parts[-1] if _laid_out(self).pool else None
            return self.pool(self._as_models(self.pool, stack, parts), last)
        points = self._merges(stack, parts)
        match self.pool:
            case "mean":
                return affine(points, [1 / len(points)] * len(points))
            case "random":
                one = replace(stack, models=stack.models[:1], name=stack.name + self._key)
                return choose(points, next(one.uniform()))
            case "largest":
                return farthest(points, _origin(stack))

    def _telling(self, method: Method) -> Sequence[str]:
        """Fields of the grid that tell apart what is settled."""
        reads = method.costs.settle_reads
        return [name for name in self.grid if reads is None or name in reads]

    def _parts(self, settled: Settled | None) -> Parts:
        out = _laid_out(self)
        return settled.parts if settled else (None,) * len((*out.settlers, *out.pool))

    def _merges(self, stack: Stack, parts: Parts) -> Merges:
        out = _laid_out(self)
        settled = [None if at is None else parts[at] for at in out.of]
        return Merges(out.points, settled, stack, with_models=self.raw == "include")

    def _as_models(self, pool: Method, stack: Stack, parts: Parts) -> Stack:
        """The points as the models of a method that pools them."""
        points = self._merges(stack, parts)
        weight = 1 / len(points) if pool.needs.weights == "mean" else 1.0
        return replace(
            stack,
            models=points,
            weights=(weight,) * len(points),
            base=stack.base if pool.needs.base else None,
            name=stack.name + self._key,
            fresh=points.fresh,
            stored=(),
        )

    @property
    def _key(self) -> str:
        """What sets the pool's randomness apart from that of its points, weaves among them."""
        return "\0pool" + (self.method._key if isinstance(self.method, Weave) else "")

    def select(self, tensors: Sequence[Described], models: int) -> Selection | None:
        """The tensors that all points take; the points' rests woven alike for the others."""
        points = _laid_out(self).points
        asked = [point.select(tensors, models) for point in points]
        found = [one for one in asked if one is not None]
        if not found:
            return None
        if len(found) < len(points) or any(one.views != found[0].views for one in found):
            raise FieldError("weave: the points of the grid do not take the same tensors.")
        if self.raw == "include":
            raise FieldError(
                f"weave: raw: {kebab_name(type(self.method))} is for some tensors only, and the "
                "models themselves would be pooled with its merges of those alone: omit them."
            )
        return replace(found[0], rest=self._rest([one.rest for one in found]))

    def _rest(self, rests: Sequence[Method]) -> Method:
        first, *others = rests
        if all(one == first for one in others):
            return first
        names = [spec.name for spec in field_specs(type(first))]
        values = {name: dict.fromkeys(getattr(one, name) for one in rests) for name in names}
        grid = {name: tuple(found) for name, found in values.items() if len(found) > 1}
        rest = replace(self, method=first, grid=grid)
        if len(set(rests)) < len(_laid_out(rest).points):
            raise FieldError("weave: what the points give to other methods is no grid.")
        return rest

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """What the greediest point needs; the pooled rows are counted as held."""
        return max(point.room(shape, models) for point in _laid_out(self).points)

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:
        """That of the first point that has any."""
        for point in _laid_out(self).points:
            if sentences := point.advice(weights):
                at = ", ".join(f"{name} {getattr(point, name)}" for name in self.grid)
                return [f"at {at}: {sentence}" for sentence in sentences]
        return ()

    def misfit(self, count: int) -> str | None:
        """What in the fields of a point, or of the pool, does not fit."""
        points = _laid_out(self).points
        for point in points:
            if said := point.misfit(count):
                return f"{kebab_name(type(point))}: {said}"
        if isinstance(self.pool, Method):
            said = self.pool.misfit(len(points) + count * (self.raw == "include"))
            return said and f"pool: {kebab_name(type(self.pool))}: {said}"
        return None

    def among(self, indices: Sequence[int]) -> Method:
        """For some of the models, at every point."""
        method, grid = self.method.among(indices), grid_among(self.grid, indices)
        return replace(self, method=method, grid=grid)


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """A weave's points; who settles for which; the pool's method if it settles anything."""

    points: tuple[Method, ...]
    settlers: tuple[Method, ...]
    of: tuple[int | None, ...]
    pool: tuple[Method, ...]
    needs: Needs
    costs: Costs


@lru_cache(256)
def _laid_out(weave: Weave) -> _LaidOut:
    points = grid_points(weave.method, weave.grid)
    some, of = settlers(points)
    pool = weave.pool if isinstance(weave.pool, Method) else None
    with_models = weave.raw == "include"
    needs = joint_needs(points, pool, with_models=with_models)
    costs = joint_costs(points, pool, with_models=with_models)
    drawn, held = weave.pool == "random", _HELD if pool is None else len(points)
    needs = replace(
        needs,
        random=needs.random or drawn,
        symmetric=needs.symmetric and not (drawn and with_models),
    )
    costs = replace(
        costs,
        held_rows=costs.held_rows + held,
        sweeps=costs.sweeps + (weave.pool == "largest" and not needs.base),
    )
    settling = (pool,) if pool and pool.needs.reach is not Reach.ELEMENT else ()
    return _LaidOut(points, some, of, settling, needs, costs)


def _origin(stack: Stack) -> Tensor:
    """The base, or the average of the models where there is none."""
    if stack.base is not None:
        return stack.base
    total = sum(stack.weights)
    return affine(stack.models, [weight / total for weight in stack.weights])
