"""What a merge is, whatever the method: each law takes a case, and fails with a sentence.

They are called by `check_method` on a few cases, and by stockpot's own tests on many.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..core import SEGMENT, Method
from .cases import Case, State, bits
from .steps import settled_from, stack_of


def keeps_inputs(case: Case) -> None:
    """Neither state dicts nor the rows that a method sees are changed; its result is new memory."""
    states = [*case.models, *([case.base] if case.base else [])]
    before = [bits(state) for state in states]
    case.merge()
    _law([bits(state) for state in states] == before, "the models or the base were changed")

    name = list(case.models[0])[-1]  # a matrix where the method wants one
    stack = stack_of(case, name)
    rows = [*stack.models, *([] if stack.base is None else [stack.base])]
    seen = [row.clone() for row in rows]
    merged = case.method(stack, settled_from(case.method, [stack], [0]))
    same = all(torch.equal(row, was) for row, was in zip(rows, seen, strict=True))
    _law(same, "a row of the stack was changed in place")
    found, wanted = (merged.shape, merged.dtype), (rows[0].shape, rows[0].dtype)
    _law(found == wanted, f"rows are {_words(*wanted)}, and the result is {_words(*found)}")
    if merged.numel():
        spans = {row.untyped_storage().data_ptr() for row in rows}
        new = merged.untyped_storage().data_ptr() not in spans
        _law(new, "the result lies in the memory of a row: give a new tensor")


def keeps_names_shapes_dtypes(case: Case) -> None:
    """The output has the models' tensors, in their order, shapes and dtypes."""
    merged = case.merge()
    _law(list(merged) == list(case.models[0]), "tensors are missing, or in another order")
    for name, tensor in merged.items():
        given = case.models[0][name]
        found, wanted = (tensor.shape, tensor.dtype), (given.shape, given.dtype)
        _law(found == wanted, f"'{name}' is {_words(*wanted)}, merged {_words(*found)}")
        _law(not tensor.requires_grad, f"'{name}' requires a gradient: use torch.no_grad()")


def stays_finite(case: Case) -> None:
    """Of finite models comes a finite merge."""
    merged = case.merge(allow_non_finite=True)
    wrong = [name for name, tensor in merged.items() if not tensor.isfinite().all()]
    _law(not wrong, f"NaN or infinity in '{', '.join(wrong)}' from finite models")


def gives_copies_back(case: Case, roundings: float = 0) -> None:
    """K copies of the first model, at weights 1/K, give it back.

    Args:
        case: whose first model is copied.
        roundings: by how many roundings of the largest of model and base it may differ, at the
            precision of the computation; 0 for none, to the last bit.
    """
    count, model = len(case.models), case.models[0]
    weights = None if case.method.needs.weights == "unused" else [1 / count] * count
    merged = Case(case.method, [model] * count, case.base, weights).merge()
    if not roundings:
        _law(bits(merged) == bits(model), "copies of a model do not give it back to the last bit")
        return
    for name, found in merged.items():
        base = torch.zeros_like(model[name]) if case.base is None else case.base[name]
        _within_roundings(name, found, model[name], base, roundings)


def _within_roundings(
    name: str, found: Tensor, model: Tensor, base: Tensor, roundings: float
) -> None:
    stored = torch.finfo(found.dtype).eps
    working = torch.finfo(torch.promote_types(found.dtype, torch.float32)).eps
    found, model, base = found.double(), model.double(), base.double()
    bound = roundings * working * torch.maximum(model.abs(), base.abs())
    off = (found - model).abs()
    if not off.numel():
        return
    _law(
        bool((off <= bound + stored / 2 * bound).all()),
        f"copies of a model give back '{name}' with an error of {float(off.max()):.2g}",
    )
    clear = bound < stored / 4 * model.abs()
    _law(torch.equal(found[clear], model[clear]), f"copies do not give '{name}' back as stored")


def ignores_order_of_models(case: Case, order: Sequence[int]) -> None:
    """Pairs of model and weight in any order, with their values of fields per model, to rounding.

    Of a method whose `needs.symmetric` says so.
    """
    weights = None if case.weights is None else [case.weights[i] for i in order]
    given = [case.of_data[i] for i in order] if case.of_data else None
    models = [case.models[i] for i in order]
    permuted = Case(case.method.among(order), models, case.base, weights, given)
    _close(case.merge(), permuted.merge(), case, "another order of the models changes the merge")


def moves_along(case: Case, by: float) -> None:
    """A number added to all models and to the base adds it to the merge, to rounding."""
    base = None if case.base is None else _plus(case.base, by)
    moved = Case(case.method, [_plus(m, by) for m in case.models], base, case.weights)
    what = f"{by:g} added to all models and the base does not add it to the merge"
    _close(_plus(case.merge(), by), moved.merge(), moved, what)


def _plus(state: State, by: float) -> State:
    return {name: tensor + by for name, tensor in state.items()}


def _close(one: State, other: State, case: Case, what: str) -> None:
    """Equal to 64 roundings of the largest value at hand, float32's or float64's."""
    given = [*case.models, *([case.base] if case.base else []), one, other]
    for name, found in one.items():
        _law(found.dtype == other[name].dtype, f"'{name}' is of another dtype")
        if found.numel():
            largest = max(float(state[name].abs().max()) for state in given)
            bound = 64 * torch.finfo(found.dtype).eps * max(1.0, largest)
            off = float((found - other[name]).abs().max())
            _law(off <= bound, f"{what}: '{name}' differs by {off:.2g}")


def works_by_blocks(case: Case, name: str, ends: Sequence[int], order: Sequence[int]) -> None:
    """Facts join in any order, and a block's map does not look beyond the block.

    Args:
        case: of a method that does not get whole tensors.
        name: of a tensor.
        ends: of blocks, in segments of 2^15 elements; the last block has what is left.
        order: in which facts of the blocks join.
    """
    edges = [0, *[SEGMENT * end for end in ends], case.models[0][name].numel()]
    stacks = [stack_of(case, name, a, b) for a, b in pairwise(edges)]
    whole = stack_of(case, name)
    settled = settled_from(case.method, [whole], [0])
    again = settled_from(case.method, stacks, order)
    _law(again == settled, "what is settled hangs on how a tensor is cut into blocks")
    mapped = torch.cat([case.method(stack, settled) for stack in stacks])
    _law(
        bits({"": mapped}) == bits({"": case.method(whole, settled)}),
        "the merge hangs on how a tensor is cut into blocks: it is not element by element, so "
        "declare Needs(whole=True), or survey and settle what it needs to know",
    )


def merges_tensors_apart(case: Case) -> None:
    """Every tensor is merged as it would be without the others, and in their order.

    Small tensors of element-wise methods are computed end to end. Of a method that does not reach
    over the model, nor select tensors.
    """
    merged = case.merge(seed=5)
    for name, found in merged.items():
        alone = Case(
            case.method,
            [{name: model[name]} for model in case.models],
            None if case.base is None else {name: case.base[name]},
            case.weights,
        ).merge(seed=5)
        _law(bits(alone) == bits({name: found}), f"'{name}' is merged otherwise without the others")


def ignores_order_of_tensors(case: Case, names: Sequence[str]) -> None:
    """The same tensors in another order give the same merge, in that order."""

    def ordered(state: State) -> State:
        return {name: state[name] for name in names}

    base = None if case.base is None else ordered(case.base)
    moved = Case(case.method, [ordered(m) for m in case.models], base, case.weights)
    merged = moved.merge(seed=5)
    _law(list(merged) == list(names), "the merge has its tensors in another order than the models")
    _law(bits(merged) == bits(case.merge(seed=5)), "another order of tensors changes the merge")


def repeats_by_seed(case: Case, seed: int) -> None:
    """The same seed gives the same bits; without randomness any seed does."""
    one, other = bits(case.merge(seed=seed)), bits(case.merge(seed=seed))
    _law(one == other, "the same merge twice gives other bits: draw by stack.uniform()")
    if not case.method.needs.random:
        another = bits(case.merge(seed=seed // 2 + 1))
        _law(another == one, "the seed changes the merge: declare Needs(random=True)")


def uses_weights_as_declared(case: Case) -> None:
    """Weights that are not declared unused change something."""
    weighted = Case(case.method, case.models, case.base, [1.0, 0.25, *[0.5] * len(case.models[2:])])
    plain, merged = case.merge(), weighted.merge()
    _law(
        any(not torch.equal(plain[n], merged[n]) for n in plain),
        "weights change nothing: use stack.weights, or declare Needs(weights='unused')",
    )


def reaches_as_declared(case: Case, name: str) -> None:
    """A method asks for the base only where it has declared it."""
    method: Method = case.method
    bare = stack_of(Case(method, case.models, None, case.weights), name)
    if not method.needs.base:
        method(bare, settled_from(method, [bare], [0]))


def _words(shape: tuple[int, ...], dtype: torch.dtype) -> str:
    return f"{tuple(shape)} {str(dtype).removeprefix('torch.')}"


def _law(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
