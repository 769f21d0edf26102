import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from stockpot.checkpoints.entry import Checkpoint
from stockpot.checkpoints.roles import Role
from stockpot.core import Method, Needs, Settled, Stack
from stockpot.errors import MergeError
from stockpot.methods import (
    Average,
    Dare,
    Interpolate,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
)
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.resolving.assignment import Assignment, Assignments
from stockpot.recipes.resolving.resolve import resolve

Make = Callable[..., Checkpoint]
Run = Callable[..., Assignments]
NAMES = ["embed.weight", "h.0.w", "h.1.w", "head.w"]


def by_name(assignments: Assignments) -> dict[str, Assignment]:
    return {tensor.name: tensor for tensor in assignments.tensors}


def test_a_plain_merge(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES) for label in "abc"]
    assignments = run(Average(), models)
    assert [tensor.name for tensor in assignments.tensors] == NAMES
    assert assignments.models == tuple(models)
    assert (assignments.base, assignments.notes) == (None, ())
    first = assignments.tensors[0]
    assert first == Assignment(
        name="embed.weight",
        role=Role.EMBEDDING,
        shape=(4, 4),
        dtype=torch.float32,
        method=Average(),
        weights=(1 / 3, 1 / 3, 1 / 3),
        sources=tuple(model.entries["embed.weight"] for model in models),
        models=(0, 1, 2),
        key="embed.weight",
        rule="method",
    )
    assert first.entries == first.sources


def test_the_order_is_the_first_model_s(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", NAMES[::-1]), checkpoint("b", NAMES)]
    assert [tensor.name for tensor in run(Average(), models).tensors] == NAMES[::-1]


def test_the_base_is_there_only_for_methods_that_need_it(checkpoint: Make, run: Run) -> None:
    base, model = checkpoint("base", NAMES), checkpoint("a", NAMES)
    rules = [{"match": "head.*", "method": "average"}]
    tensors = by_name(run(Ties(), [model], base, rules=rules))
    assert tensors["h.0.w"].base is base.entries["h.0.w"]
    assert tensors["h.0.w"].entries == (model.entries["h.0.w"], base.entries["h.0.w"])
    assert tensors["head.w"].base is None


@pytest.mark.parametrize(
    ("method", "given", "weights"),
    [
        (Average(), None, (0.5, 0.5)),
        (Average(), [0.7, 0.3], (0.7, 0.3)),
        (Average(), [3, 1], (0.75, 0.25)),
        (Average(), [2, -1], (2.0, -1.0)),
        (TaskArithmetic(), None, (1.0, 1.0)),
        (TaskArithmetic(), [0.3, -0.2], (0.3, -0.2)),
        (TaskArithmetic(), [1, -1], (1.0, -1.0)),
        (Median(), None, (1.0, 1.0)),
    ],
)
def test_weights(
    checkpoint: Make,
    run: Run,
    method: Method,
    given: list[float] | None,
    weights: tuple[float, ...],
) -> None:
    models = [checkpoint(label, NAMES) for label in "ab"]
    base = checkpoint("base", NAMES) if method.needs.base else None
    for tensor in run(method, models, base, given).tensors:
        assert tensor.weights == pytest.approx(weights)


@pytest.mark.parametrize(
    ("method", "count", "with_base", "weights", "message"),
    [
        (Ties(), 2, False, None, "ties needs a base model: pass --base, or use 'average'."),
        (ModelStock(), 2, False, None, "model-stock needs a base model"),
        (Slerp(), 3, False, None, "slerp takes exactly 2 models, got 3"),
        (Slerp(), 1, False, None, "slerp takes exactly 2 models, got 1: pass two, or one and"),
        (Interpolate(), 3, True, None, "interpolate takes exactly 2 models, got 3"),
        (Average(), 2, False, [1, -1], "the weights sum to zero (1, -1), and average divides"),
        (Average(), 3, False, [0.1, 0.2, -0.3], "the weights sum to zero (0.1, 0.2, -0.3)"),
        (Average(), 2, False, [0, 0], "the weights sum to zero (0, 0)"),
        (Median(), 2, False, [1, 2], "median takes no weights: leave them out"),
        (Slerp(), 2, False, [1, 1], "slerp takes no weights"),
        (Interpolate(), 1, True, [1], "interpolate takes no weights"),
        (
            Ties(density=(0.1, 0.2, 0.3)),
            2,
            True,
            None,
            "ties: density has 3 values for 2 models: give one number, or one per model.",
        ),
    ],
)
def test_needs_that_are_not_met(
    checkpoint: Make,
    run: Run,
    method: Method,
    count: int,
    with_base: bool,
    weights: list[float] | None,
    message: str,
) -> None:
    models = [checkpoint(str(k), NAMES) for k in range(count)]
    base = checkpoint("base", NAMES) if with_base else None
    with pytest.raises(MergeError, match=re.escape(message)):
        run(method, models, base, weights)


def test_needs_of_a_rule_s_method_count_too(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES) for label in "abc"]
    with pytest.raises(MergeError, match="slerp takes exactly 2 models, got 3"):
        run(Average(), models, rules=[{"match": "head.*", "method": "slerp"}])


def test_needs_of_a_method_that_merges_nothing_do_not(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES) for label in "abc"]
    rules = [{"match": "*", "method": "average"}]
    assert all(tensor.method == Average() for tensor in run(Ties(), models, rules=rules).tensors)


def test_weights_that_one_of_the_methods_uses(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES) for label in "ab"]
    rules = [{"match": "head.*", "method": "median"}]
    assignments = run(Average(), models, weights=[3, 1], rules=rules)
    assert by_name(assignments)["head.w"].weights == (1.0, 1.0)
    assert assignments.notes == ("median ignores the weights.",)


@pytest.mark.parametrize("method", [Interpolate(t=0.25), Slerp()])
def test_the_base_is_the_first_of_two(checkpoint: Make, run: Run, method: Method) -> None:
    base, model = checkpoint("base", NAMES), checkpoint("a", NAMES)
    assignments = run(method, [model], base)
    assert assignments.models == (base, model)
    assert assignments.notes == ()
    for tensor in assignments.tensors:
        assert tensor.sources == (base.entries[tensor.name], model.entries[tensor.name])
        assert (tensor.models, tensor.base) == ((0, 1), None)


@dataclass(frozen=True)
class Pair(Method):
    """Takes two weighted models, and a base if asked."""

    base: bool = False

    @property
    def needs(self) -> Needs:
        return Needs(base=self.base, models=(2, 2))

    def __call__(self, stack: Stack, settled: Settled | None) -> torch.Tensor:
        raise NotImplementedError


def test_the_base_weighs_one_where_it_is_the_first_of_two(checkpoint: Make, run: Run) -> None:
    base, model = checkpoint("base", NAMES), checkpoint("a", NAMES)
    assert run(Pair(), [model], base, [3.0]).tensors[0].weights == (0.25, 0.75)


def test_a_method_with_a_base_of_its_own_takes_two_models(checkpoint: Make, run: Run) -> None:
    base, model = checkpoint("base", NAMES), checkpoint("a", NAMES)
    with pytest.raises(MergeError, match=r"pair takes exactly 2 models, got 1\."):
        run(Pair(base=True), [model], base)


def test_indices_of_copies_do_not_count_the_base(checkpoint: Make, run: Run) -> None:
    base, model = checkpoint("base", NAMES), checkpoint("a", NAMES)
    rules = [{"match": "head.*", "copy": 0}, {"match": "embed.*", "copy": "base"}]
    tensors = by_name(run(Interpolate(), [model], base, rules=rules))
    assert tensors["head.w"].copy_from is model.entries["head.w"]
    assert tensors["embed.weight"].copy_from is base.entries["embed.weight"]


def test_the_same_checkpoint_twice(checkpoint: Make, run: Run) -> None:
    model = checkpoint("a", NAMES)
    assignments = run(Average(), [model, model])
    assert assignments.tensors[0].models == (0, 1)
    assert assignments.tensors[0].weights == (0.5, 0.5)


def test_a_copy(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", NAMES), checkpoint("b", NAMES, dtype=torch.bfloat16)]
    tensor = by_name(run(Average(), models, rules=[{"match": "head.*", "copy": "b"}]))["head.w"]
    assert tensor.copy_from is models[1].entries["head.w"]
    assert tensor.entries == (models[1].entries["head.w"],)
    assert (tensor.method, tensor.sources, tensor.models) == (None, (), ())
    assert tensor.dtype == torch.bfloat16
    assert tensor.rule == "rules[0]: match 'head.*'"


def test_copied_tensors_may_differ(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a", dict.fromkeys(NAMES, ((4, 4), torch.float32)))
    b = checkpoint("b", dict.fromkeys(NAMES[:-1], ((4, 4), torch.float32)))
    c = checkpoint(
        "c", {**dict.fromkeys(NAMES, ((4, 4), torch.float32)), "head.w": ((9,), torch.int8)}
    )
    tensors = by_name(run(Average(), [a, b, c], rules=[{"match": "head.*", "copy": "a"}]))
    assert tensors["head.w"].copy_from is a.entries["head.w"]


def test_a_copy_from_a_model_that_lacks_it(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", NAMES), checkpoint("b", NAMES[:-1])]
    with pytest.raises(MergeError, match=r"'head.w' is to be copied from b, which does not"):
        run(Average(), models, rules=[{"match": "head.*", "copy": "b"}])


BN: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
    "bn.weight": ((4,), torch.float32),
    "bn.running_mean": ((4,), torch.float32),
    "bn.num_batches_tracked": ((), torch.int64),
}


@pytest.mark.parametrize(
    ("method", "given", "weights"),
    [
        (Average(), [3, 1], (0.75, 0.25)),
        (Median(), None, (0.5, 0.5)),
        (TaskArithmetic(), [0.3, 0.1], (0.75, 0.25)),
        (TaskArithmetic(), [1, -1], (0.5, 0.5)),
        (TaskArithmetic(), [0, 0], (0.5, 0.5)),
        (Interpolate(t=0.25), None, (0.75, 0.25)),
        (Slerp(t=0.0), None, (1.0, 0.0)),
        (Interpolate(t=1.5), None, (0.0, 1.0)),
    ],
)
def test_norm_stats_are_averaged_whatever_the_method(
    checkpoint: Make,
    run: Run,
    method: Method,
    given: list[float] | None,
    weights: tuple[float, ...],
) -> None:
    models = [checkpoint(label, BN) for label in "ab"]
    base = checkpoint("base", BN) if method.needs.base else None
    assignments = run(method, models, base, given)
    stats = by_name(assignments)["bn.running_mean"]
    assert (stats.role, stats.method, stats.base) == (Role.NORM_STAT, Average(), None)
    assert stats.weights == pytest.approx(weights)
    assert by_name(assignments)["bn.weight"].method == method
    assert "Estimate them again" in " ".join(assignments.notes)


def test_a_rule_that_names_norm_stats_wins(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, BN) for label in "ab"]
    rules = [{"role": "norm-stat", "method": "median"}]
    assert by_name(run(Average(), models, rules=rules))["bn.running_mean"].method == Median()


def test_counters_are_copied_from_the_base_else_the_first(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, BN) for label in "ab"], checkpoint("base", BN)
    name = "bn.num_batches_tracked"
    counter = by_name(run(Average(), models))[name]
    assert counter.copy_from is models[0].entries[name]
    assert (counter.role, counter.dtype) == (Role.COUNTER, torch.int64)
    assert by_name(run(Ties(), models, base))[name].copy_from is base.entries[name]
    bare = checkpoint("base", {n: spec for n, spec in BN.items() if n != name})
    assert by_name(run(Ties(), models, bare))[name].copy_from is models[0].entries[name]


def test_only_merges_some_and_copies_the_rest(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    tensors = by_name(run(Ties(), models, base, only=["h.*"]))
    assert [name for name, t in tensors.items() if t.method] == ["h.0.w", "h.1.w"]
    assert tensors["head.w"].copy_from is base.entries["head.w"]
    tensors = by_name(run(Average(), models, only=["h.*"]))
    assert tensors["head.w"].copy_from is models[0].entries["head.w"]


@pytest.mark.parametrize(
    ("dtypes", "wanted", "written"),
    [
        ([torch.bfloat16, torch.bfloat16], "same", torch.bfloat16),
        ([torch.bfloat16, torch.float16], "same", torch.float32),
        ([torch.float16, torch.float32], "same", torch.float32),
        ([torch.float64, torch.float32], "same", torch.float64),
        ([torch.float32, torch.float32], "bfloat16", torch.bfloat16),
        ([torch.bfloat16, torch.float32], "float16", torch.float16),
        ([torch.float8_e4m3fn, torch.float8_e4m3fn], "same", torch.float8_e4m3fn),
        ([torch.float8_e4m3fn, torch.bfloat16], "bfloat16", torch.bfloat16),
    ],
)
def test_output_dtypes(
    checkpoint: Make, run: Run, dtypes: list[torch.dtype], wanted: str, written: torch.dtype
) -> None:
    models = [checkpoint(str(k), NAMES, dtype=dtype) for k, dtype in enumerate(dtypes)]
    for tensor in run(Average(), models, output={"dtype": wanted}).tensors:
        assert tensor.dtype == written


def test_the_base_counts_for_the_dtype_where_it_is_used(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", NAMES, dtype=torch.bfloat16)]
    base = checkpoint("base", NAMES, dtype=torch.float32)
    assert run(Ties(), models, base).tensors[0].dtype == torch.float32
    assert run(Average(), models, base).tensors[0].dtype == torch.bfloat16


def test_integers_keep_their_dtype_and_copied_floats_do_not(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, BN) for label in "ab"]
    rules = [{"match": "bn.weight", "copy": 0}]
    tensors = by_name(run(Average(), models, rules=rules, output={"dtype": "bfloat16"}))
    assert tensors["bn.num_batches_tracked"].dtype == torch.int64
    assert tensors["bn.weight"].dtype == torch.bfloat16


def test_scales_are_copied_as_they_are(checkpoint: Make, run: Run) -> None:
    spec = {"w": ((4,), torch.float32), "s": ((4,), torch.float8_e8m0fnu)}
    models = [checkpoint(label, spec) for label in "ab"]
    copy = [{"match": "s", "copy": 0}]
    tensors = by_name(run(Average(), models, rules=copy, output={"dtype": "bfloat16"}))
    assert tensors["s"].dtype == torch.float8_e8m0fnu


def test_dtypes_without_a_common_one(checkpoint: Make, run: Run) -> None:
    models = [
        checkpoint("a", ["w"], dtype=torch.float8_e4m3fn),
        checkpoint("b", ["w"], dtype=torch.float8_e5m2),
    ]
    with pytest.raises(MergeError, match=r"float8_e4m3fn and float8_e5m2, .* pass --dtype"):
        run(Average(), models)


def test_layers_give_each_block_its_own_value(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    tensors = by_name(run(Ties(density=0.9), models, base, layers={"density": [0.1, 0.4]}))
    assert [t.method for t in tensors.values()] == [
        Ties(density=0.9),
        Ties(density=0.1),
        Ties(density=0.4),
        Ties(density=0.9),
    ]


def test_one_value_per_model(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    method = Dare(density=(0.1, 0.9))
    assert run(method, models, base).tensors[0].method == method


def test_lists_that_do_not_belong_to_the_recipe(checkpoint: Make) -> None:
    recipe = parse_recipe({"method": "average", "models": ["a", "b"]})
    model = checkpoint("a", NAMES)
    with pytest.raises(ValueError, match="2 models, not 1"):
        resolve(recipe, [model], None)
    with pytest.raises(ValueError, match="base must be given"):
        resolve(recipe, [model, model], model)


def test_nothing_at_all(checkpoint: Make, run: Run) -> None:
    with pytest.raises(MergeError, match="hold no tensors"):
        run(Average(), [checkpoint("a", [])])


def test_no_weight_is_read_and_each_tensor_is_visited_once(
    checkpoint: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linear cost: work per tensor does not grow with their number."""
    from stockpot.recipes.resolving import resolve as module

    calls: list[str] = []
    role_of = module.role_of
    monkeypatch.setattr(module, "role_of", lambda entry: calls.append(entry.name) or role_of(entry))
    names = [f"h.{i}.w" for i in range(300)]
    models, base = [checkpoint(label, names) for label in "ab"], checkpoint("base", names)
    run(Ties(), models, base, layers={"density": [0.1, 0.4]})
    assert calls == names
    assert sum(entry.source.reads for entry in models[0].entries.values()) == 0
