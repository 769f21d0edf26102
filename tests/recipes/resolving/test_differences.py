"""Models that differ: what is refused, what the policies for missing tensors do, and ties."""

import re
from collections.abc import Callable

import pytest
import torch

from stockpot.checkpoints.entry import Checkpoint
from stockpot.checkpoints.roles import Role
from stockpot.errors import FieldError, MergeError
from stockpot.methods import Average, Dare, ModelStock, Slerp, TaskArithmetic, Ties
from stockpot.recipes.resolving.assignment import Assignment, Assignments

Make = Callable[..., Checkpoint]
Run = Callable[..., Assignments]
F32 = torch.float32


def by_name(assignments: Assignments) -> dict[str, Assignment]:
    return {tensor.name: tensor for tensor in assignments.tensors}


def test_shapes_that_differ(checkpoint: Make, run: Run) -> None:
    name = "layers.3.q.weight"
    a = checkpoint("a.safetensors", {name: ((5120, 5120), F32)})
    b = checkpoint("b.safetensors", {name: ((4096, 4096), F32)})
    expected = (
        "'layers.3.q.weight' in b.safetensors is (4096, 4096); a.safetensors has (5120, 5120)."
    )
    with pytest.raises(MergeError, match=re.escape(expected)):
        run(Average(), [a, b])


def test_the_base_s_shape_counts_where_it_is_used(checkpoint: Make, run: Run) -> None:
    a, base = checkpoint("a", {"w": ((2,), F32)}), checkpoint("base", {"w": ((3,), F32)})
    with pytest.raises(MergeError, match=re.escape("'w' in base is (3,); a has (2,).")):
        run(Ties(), [a], base)
    assert run(Average(), [a], base)


@pytest.mark.parametrize(
    ("dtype", "copyable"),
    [(torch.int32, "0"), (torch.bool, "0"), (torch.float8_e8m0fnu, "0")],
)
def test_what_is_no_number_is_not_merged(
    checkpoint: Make, run: Run, dtype: torch.dtype, copyable: str
) -> None:
    a, b = checkpoint("a", {"w": ((4,), F32)}), checkpoint("b", {"w": ((4,), dtype)})
    kind = str(dtype).removeprefix("torch.")
    expected = f"'w' in b is {kind}, which is not merged as numbers: copy it, --copy 'w={copyable}'"
    with pytest.raises(MergeError, match=re.escape(expected)):
        run(Average(), [a, b])
    copied = by_name(run(Average(), [a, b], rules=[{"match": "w", "copy": 0}]))["w"]
    assert copied.copy_from is a.entries["w"]


def test_a_counter_is_not_merged_even_when_asked(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, {"n": ((), torch.int64), "w": ((4,), F32)}) for label in "ab"]
    base = checkpoint("base", {"n": ((), torch.int64), "w": ((4,), F32)})
    with pytest.raises(MergeError, match=r"'n' in a is int64.*--copy 'n=base'"):
        run(TaskArithmetic(), models, base, rules=[{"match": "n", "method": "average"}])


def test_every_difference_is_counted_and_twenty_are_told(checkpoint: Make, run: Run) -> None:
    same = {f"same{i}": ((2,), F32) for i in range(40)}
    a = checkpoint("a", {f"t{i}": ((2,), F32) for i in range(30)} | same)
    b = checkpoint("b", {f"t{i}": ((3,), F32) for i in range(25)} | same)
    with pytest.raises(MergeError) as caught:
        run(Average(), [a, b])
    lines = str(caught.value).splitlines()
    assert lines[0] == "the models cannot be merged as they are:"
    assert len(lines) == 1 + 20 + 1 + 1 + 1
    assert lines[1].strip() == "'t0' in b is (3,); a has (2,)."
    assert lines[21].strip() == "and 10 more."
    assert lines[22].strip().startswith("To take what differs in shape from one of them: --copy")
    assert lines[23].strip() == (
        "To take what some lack from a model that has it: --copy 't25=a' --copy 't26=a' "
        "--copy 't27=a' and 2 more"
    )


def test_all_kinds_of_differences_stand_together(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a", {"x": ((2,), F32), "y": ((2,), F32), "z": ((2,), F32)})
    b = checkpoint("b", {"x": ((3,), F32), "z": ((2,), torch.int8), "extra": ((2,), F32)})
    with pytest.raises(MergeError) as caught:
        run(Average(), [a, b])
    text = str(caught.value)
    assert "'x' in b is (3,)" in text
    assert "'y' is missing from b; a has it." in text
    assert "'z' in b is int8" in text
    assert "'extra' is missing from a; b has it." in text
    assert "more." not in text


def test_missing_from_the_base(checkpoint: Make, run: Run) -> None:
    a, base = checkpoint("a", ["w", "head"]), checkpoint("base", ["w"])
    with pytest.raises(MergeError, match="'head' is missing from the base base, which ties needs"):
        run(Ties(), [a], base)
    tensors = by_name(run(Ties(), [a], base, rules=[{"match": "head", "method": "average"}]))
    assert tensors["head"].method == Average()


# --missing


def test_missing_base_lends_its_tensor(checkpoint: Make, run: Run) -> None:
    a, b = checkpoint("a", ["w", "x"]), checkpoint("b", ["w", "y"])
    base = checkpoint("base", ["w", "x", "y"])
    assignments = run(Average(), [a, b], base, [3, 1], missing="base")
    tensors = by_name(assignments)
    assert list(tensors) == ["w", "x", "y"]
    assert tensors["x"].sources == (a.entries["x"], base.entries["x"])
    assert tensors["y"].sources == (base.entries["y"], b.entries["y"])
    assert tensors["y"].models == (0, 1)
    assert tensors["y"].weights == (0.75, 0.25)
    expected = "taken from the base for the models that lack it: 'x' and 1 more."
    assert assignments.notes == (expected,)


def test_missing_base_when_the_base_lacks_it_too(checkpoint: Make, run: Run) -> None:
    a, b, base = checkpoint("a", ["w", "x"]), checkpoint("b", ["w"]), checkpoint("base", ["w"])
    with pytest.raises(MergeError, match="'x' is missing from b, and so it is from the base"):
        run(Average(), [a, b], base, missing="base")


def test_missing_base_without_a_base(checkpoint: Make, run: Run) -> None:
    with pytest.raises(FieldError, match="missing: there is no base to take tensors from"):
        run(Average(), [checkpoint("a", ["w"])], missing="base")


def test_missing_present_merges_those_that_have_it(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", ["w"]), checkpoint("b", ["w", "x"]), checkpoint("c", ["w", "x"])]
    assignments = run(Average(), models, None, [2, 3, 1], missing="present")
    tensor = by_name(assignments)["x"]
    assert tensor.models == (1, 2)
    assert tensor.weights == (0.75, 0.25)
    assert tensor.sources == (models[1].entries["x"], models[2].entries["x"])
    assert assignments.notes == ("merged over the models that have it: 'x'.",)


def test_missing_present_keeps_the_values_of_each_model(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", ["w"]), checkpoint("b", ["w", "x"]), checkpoint("c", ["w", "x"])]
    base = checkpoint("base", ["w", "x"])
    method = Dare(density=(0.1, 0.2, 0.3))
    tensors = by_name(run(method, models, base, [1, 2, 3], missing="present"))
    assert tensors["w"].method == method
    assert tensors["x"].method == Dare(density=(0.2, 0.3))
    assert tensors["x"].weights == (2.0, 3.0)


def test_missing_present_copies_what_one_of_two_has(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", ["w"]), checkpoint("b", ["w", "x"])]
    tensor = by_name(run(Slerp(), models, missing="present"))["x"]
    assert tensor.copy_from is models[1].entries["x"]
    assert tensor.rule == "missing: present, only in b"


def test_missing_present_with_a_sum_of_weights_of_zero(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", ["w", "x"]), checkpoint("b", ["w"])]
    with pytest.raises(MergeError, match=r"weights sum to zero \(0\), and average of 'x'"):
        run(Average(), models, None, [0, 1], missing="present")


def test_a_rule_may_settle_a_missing_tensor(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", ["w", "x"]), checkpoint("b", ["w"])]
    tensors = by_name(run(Average(), models, rules=[{"match": "x", "copy": "a"}]))
    assert tensors["x"].copy_from is models[0].entries["x"]


# Tied weights

NAMES = ["embed.weight", "h.0.w", "lm_head.weight"]
TIED = {"lm_head.weight": "embed.weight"}


def test_tied_everywhere_is_tied_in_the_output(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES, aliases=TIED) for label in "ab"]
    base = checkpoint("base", NAMES, aliases=TIED)
    assignments = run(Ties(), models, base)
    head = by_name(assignments)["lm_head.weight"]
    assert (head.key, head.role) == ("embed.weight", Role.TIED_ALIAS)
    assert by_name(assignments)["embed.weight"].key == "embed.weight"
    assert assignments.notes == ()


def test_a_rule_by_role_reaches_the_alias(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES, aliases=TIED) for label in "ab"]
    head = by_name(run(Average(), models, rules=[{"role": "embedding", "copy": 1}]))[
        "lm_head.weight"
    ]
    assert head.copy_from is models[1].entries["lm_head.weight"]
    assert head.key == "embed.weight"


@pytest.mark.parametrize("tied", [0, 1, 2])
def test_not_tied_everywhere_is_untied_and_noted(checkpoint: Make, run: Run, tied: int) -> None:
    aliases = [TIED, TIED, TIED]
    aliases[tied] = {}
    a, b, base = (
        checkpoint(label, NAMES, aliases=alias)
        for label, alias in zip(["a", "b", "base"], aliases, strict=True)
    )
    assignments = run(ModelStock(), [a, b], base)
    assert by_name(assignments)["lm_head.weight"].key == "lm_head.weight"
    assert any("not in the output: 'lm_head.weight'" in note for note in assignments.notes)


def test_rules_that_differ_untie(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES, aliases=TIED) for label in "ab"]
    assignments = run(Average(), models, rules=[{"match": "lm_head.*", "method": "median"}])
    assert by_name(assignments)["lm_head.weight"].key == "lm_head.weight"
    assert any("not in the output: 'lm_head.weight'" in note for note in assignments.notes)


def test_copies_from_two_models_untie(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, NAMES, aliases=TIED) for label in "ab"]
    rules = [{"match": "lm_head.*", "copy": 1}, {"match": "embed.*", "copy": 0}]
    head = by_name(run(Average(), models, rules=rules))["lm_head.weight"]
    assert head.key == "lm_head.weight"


def test_the_order_of_tied_names_may_differ(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a", NAMES, aliases=TIED)
    b = checkpoint("b", NAMES[::-1], aliases={"embed.weight": "lm_head.weight"})
    assignments = run(Average(), [a, b])
    assert by_name(assignments)["lm_head.weight"].key == "embed.weight"
    assert assignments.notes == ()


def test_tied_to_something_that_another_model_does_not_tie(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a", ["x", "y", "z"], aliases={"y": "x", "z": "x"})
    b = checkpoint("b", ["x", "y", "z"], aliases={"z": "y"})
    keys = {name: tensor.key for name, tensor in by_name(run(Average(), [a, b])).items()}
    assert keys == {"x": "x", "y": "y", "z": "z"}


def test_complex_numbers_are_not_merged_with_real_ones(checkpoint: Make, run: Run) -> None:
    a, b = checkpoint("a", {"w": ((4,), F32)}), checkpoint("b", {"w": ((4,), torch.complex64)})
    expected = (
        "'w' in b is complex64; a has float32, and complex numbers are not merged with real ones: "
        "copy it, --copy 'w=0'."
    )
    with pytest.raises(MergeError, match=re.escape(expected)):
        run(Average(), [a, b])
    with pytest.raises(MergeError, match=re.escape("'w' in b is (4,); a has (2, 2).")):
        run(Average(), [checkpoint("a", {"w": ((2, 2), torch.complex64)}), b])
