"""Methods that exist for tests only: they give extras, and need statistics of another shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stockpot.asides import Extra, Series
from stockpot.core import (
    Described,
    Facts,
    Method,
    Needs,
    Reach,
    Selection,
    Settled,
    Stack,
    Statistic,
    Sums,
)
from stockpot.methods import Average
from stockpot.methods.matrices import choose_matrices
from stockpot.values.fields import check_fields


@dataclass(frozen=True, slots=True)
class Masked(Method):
    """The summed task vector, a mask for each model where both have one sign, and its scale.

    As EMR-merging (arXiv 2405.17461) gives them; here the sum is of all, whatever their sign.
    """

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs(base=True, reach=Reach.TENSOR, weights="sum")

    def extras(self, shape: tuple[int, ...], models: int) -> Sequence[Extra]:
        return (
            Extra("mask", shape, torch.bool),
            Extra("scale", (), torch.float64),
            Extra("votes", shape, torch.int8, of="models"),
        )

    def survey(self, stack: Stack, hint: Settled | None) -> Facts:
        total = sum(stack.deltas())
        kept = [(total * mask).abs().double().sum() for mask in _masks(stack, total)]
        own = [delta.abs().double().sum() for delta in stack.deltas()]
        return Sums(torch.stack([torch.stack(own), torch.stack(kept)])[None])

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        assert isinstance(facts, Sums)
        pairs = zip(*facts.total().tolist(), strict=True)
        return Settled({"scale": tuple(own / kept if kept else 1.0 for own, kept in pairs)})

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        assert settled is not None
        total = sum(stack.deltas())
        votes = torch.zeros(total.shape, dtype=torch.int8)
        for k, mask in enumerate(_masks(stack, total)):
            stack.give("mask", mask, k)
            stack.give("scale", torch.tensor(settled.values["scale"][k], dtype=torch.float64), k)
            votes += mask
        stack.give("votes", votes)
        return stack.anchor + total


def _masks(stack: Stack, total: Tensor) -> list[Tensor]:
    return [delta * total > 0 for delta in stack.deltas()]


@dataclass(frozen=True, slots=True)
class GramMean(Method):
    """W = (Σ_k W_k G_k) (Σ_k G_k)⁻¹ of matrices [out, in] and Gram matrices of their inputs.

    As RegMean (arXiv 2212.09849) has it, without its shrinking; the average of all other tensors.
    """

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs(whole=True, statistics=(Statistic("gram", (-1, -1)),))

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        return choose_matrices(
            tensors,
            which="matrices",
            by_default="matrices",
            conv="average",
            qkv="stored",
            rest=Average(),
        )

    def room(self, shape: tuple[int, ...], models: int) -> int:
        return 6 * math.prod(shape) + 8 * shape[-1] ** 2

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        grams = stack.statistics["gram"]
        total_II = torch.zeros_like(grams[0], dtype=torch.float64)
        moved_IO = torch.zeros_like(stack.models[0].mT, dtype=torch.float64)
        for k, weight in enumerate(stack.weights):
            gram_II = grams[k].double() * weight
            total_II += gram_II
            moved_IO += gram_II @ stack.models[k].mT.double()
        stack.tell("trace", Series.of(stack.start, float(total_II.trace())))
        return torch.linalg.solve(total_II, moved_IO).mT.to(stack.models[0].dtype)
