"""What a refusal advises: names told in one sentence, and `--copy` lines that settle the rest."""

import re
import shlex
from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.entry import Checkpoint
from stockpot.errors import MergeError
from stockpot.methods import Average, TaskArithmetic
from stockpot.recipes.resolving.assignment import Assignment, Assignments
from stockpot.recipes.resolving.remedies import patterns

Make = Callable[..., Checkpoint]
Run = Callable[..., Assignments]
F32 = torch.float32
BODY = [f"layers.{i}.{part}.weight" for i in range(4) for part in ("attn", "mlp")]
OLD = ["norm.gamma", "norm.beta"]
NEW = ["norm.weight", "norm.bias"]


def refusal(run: Run, *args: object, **more: object) -> list[str]:
    with pytest.raises(MergeError) as caught:
        run(*args, **more)
    return [line.strip() for line in str(caught.value).splitlines()]


def rules_of(line: str) -> list[dict[str, str]]:
    """The rules that the `--copy` flags of a line stand for."""
    words = shlex.split(line[line.index("--copy") :])
    pairs = [word.rpartition("=") for word in words if word != "--copy"]
    return [{"match": pattern, "copy": model} for pattern, _, model in pairs]


def by_name(assignments: Assignments) -> dict[str, Assignment]:
    return {tensor.name: tensor for tensor in assignments.tensors}


# Names


def test_names_that_differ_as_a_whole_are_one_sentence(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a.pt", [f"net.{name}" for name in BODY])
    b = checkpoint("b.pt", [f"model.{name}" for name in BODY])
    lines = refusal(run, Average(), [a, b])
    assert lines == [
        "the models cannot be merged as they are:",
        "b.pt holds 8 tensors of a.pt under other names: 'model.' for 'net.'. If they are the "
        "same, say so in a recipe: {path: b.pt, rename: {'model.*': 'net.*'}}.",
    ]


def test_what_names_do_not_explain_is_told_too(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a.pt", [*BODY, *OLD, "extra.weight"])
    lines = refusal(run, Average(), [a, checkpoint("b.pt", [*BODY, *NEW])])
    assert lines[1] == (
        "b.pt holds 2 tensors of a.pt under other names: weight and bias for gamma and beta. They "
        "are matched."
    )
    assert lines[2] == "'extra.weight' is missing from b.pt; a.pt has it."
    assert len(lines) == 4


def test_a_base_under_other_names(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, [f"model.{name}" for name in BODY]) for label in "ab"]
    base = checkpoint("base.pt", [f"net.{name}" for name in BODY])
    lines = refusal(run, TaskArithmetic(), models, base)
    assert lines[1].startswith("base.pt holds 8 tensors of a under other names: 'net.' for 'model.")
    assert len(lines) == 2
    assert run(Average(), models, base)
    within = checkpoint("base.pt", BODY)
    found = run(TaskArithmetic(), models, within)
    assert found.notes[0].endswith("other names: without 'model.' before them. They are matched.")


def test_missing_present_refuses_two_sets_of_names(checkpoint: Make, run: Run) -> None:
    names = [*BODY, *OLD]
    models = [checkpoint(f"{p}.pt", [f"{p}.{name}" for name in names]) for p in ("net", "model")]
    (line,) = refusal(run, Average(), models, missing="present")
    assert line.startswith("--missing present would write both sets of names side by side: model.")


@pytest.mark.parametrize(
    "other", [[*BODY, *NEW], [f"model.{n}" for n in [*BODY, *OLD]]], ids=["spelling", "prefix"]
)
def test_missing_present_merges_over_matched_names(
    checkpoint: Make, run: Run, other: list[str]
) -> None:
    models = [checkpoint("a.pt", [*BODY, *OLD]), checkpoint("b.pt", [*other, "head.weight"])]
    tensors = by_name(run(Average(), models, missing="present"))
    assert set(tensors) == {*BODY, *OLD, "head.weight"}
    assert all(len(tensors[name].sources) == 2 for name in (*BODY, *OLD))


def test_missing_present_refuses_a_union(checkpoint: Make, run: Run) -> None:
    steps = {"steps": ((), torch.int64)}
    a = checkpoint("a", {"a": ((2,), F32), "b": ((3,), F32)} | steps)
    b = checkpoint("b", {"c": ((4,), F32)} | steps)
    (line,) = refusal(run, Average(), [a, b], missing="present")
    assert line.startswith("no tensor of numbers is in two models: --missing present would")


def test_missing_present_still_joins_heads(checkpoint: Make, run: Run) -> None:
    """Two heads of one shape are two heads, whatever they are called."""
    a, b = checkpoint("a", [*BODY, "head.weight"]), checkpoint("b", [*BODY, "fc.weight"])
    tensors = by_name(run(Average(), [a, b], missing="present"))
    assert tensors["head.weight"].sources == (a.entries["head.weight"],)
    assert tensors["fc.weight"].sources == (b.entries["fc.weight"],)


def test_rules_that_settle_names_are_not_refused(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", [*BODY, "x.w"]), checkpoint("b", [*BODY, "y.w"])]
    rules = [{"match": "x.w", "copy": "a"}, {"match": "y.w", "copy": "b"}]
    tensors = by_name(run(Average(), models, rules=rules))
    assert tensors["x.w"].copy_from is models[0].entries["x.w"]


# --copy


def test_shapes_that_differ_name_the_copy_line_that_helps(checkpoint: Make, run: Run) -> None:
    body = dict.fromkeys(BODY, ((4, 4), F32))
    a = checkpoint("a b.pt", body | {"cls.weight": ((3, 4), F32), "cls.bias": ((3,), F32)})
    b = checkpoint("b.pt", body | {"cls.weight": ((5, 4), F32), "cls.bias": ((5,), F32)})
    lines = refusal(run, Average(), [a, b])
    assert lines[-1] == ("To take what differs in shape from one of them: --copy 'cls.*=a b.pt'")
    tensors = by_name(run(Average(), [a, b], rules=rules_of(lines[-1])))
    assert tensors["cls.bias"].copy_from is a.entries["cls.bias"]
    assert tensors[BODY[0]].method == Average()


def test_a_shape_that_only_the_base_lacks(checkpoint: Make, run: Run) -> None:
    body = dict.fromkeys(BODY, ((4, 4), F32))
    inpaint = checkpoint("inpaint", {"conv.weight": ((8, 9), F32)} | body)
    others = [checkpoint(name, {"conv.weight": ((8, 4), F32)} | body) for name in ("a", "base")]
    lines = refusal(run, TaskArithmetic(), [inpaint, others[0]], others[1])
    assert lines[-1].endswith("--copy 'conv.*=inpaint'") or lines[-1].endswith(
        "--copy 'conv.weight=inpaint'"
    )
    assert len(lines) == 4


def test_networks_of_different_sizes_are_one_line(checkpoint: Make, run: Run) -> None:
    a, b = (checkpoint(n, dict.fromkeys(BODY, ((size,), F32))) for n, size in (("a", 2), ("b", 3)))
    (line,) = refusal(run, Average(), [a, b])
    assert line == (
        f"a and b are different networks: of 8 and 8 tensors, 0 have the same name and shape; "
        f"'{BODY[0]}' is (2,) and (3,). Only networks of one architecture can be merged; "
        "`stockpot inspect` shows both."
    )


# What is missing


def test_a_base_that_has_what_is_missing(checkpoint: Make, run: Run) -> None:
    base = checkpoint("base", [*BODY, "x"])
    models = [checkpoint("a", [*BODY, "x"]), checkpoint("b", BODY)]
    lines = refusal(run, Average(), models, base)
    assert lines[-1] == "--missing base takes the base's in their place."
    assert run(Average(), models, base, missing="base")


def test_present_is_advised_where_it_averages_alone(checkpoint: Make, run: Run) -> None:
    models = [checkpoint(label, [*BODY, "x"]) for label in "ab"]
    models.append(checkpoint("c", BODY))
    lines = refusal(run, Average(), models)
    assert lines[-1] == "--missing present merges each over the models that have it."
    assert by_name(run(Average(), models, missing="present"))["x"].models == (0, 1)


def test_a_graft_is_by_name(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", [*BODY, "v.0.w", "v.1.w"]), checkpoint("b", BODY)]
    lines = refusal(run, Average(), models)
    assert lines[-1] == "To take what some lack from a model that has it: --copy 'v.*=a'"
    assert not any("--missing" in line for line in lines)
    tensors = by_name(run(Average(), models, rules=rules_of(lines[-1])))
    assert tensors["v.1.w"].copy_from is models[0].entries["v.1.w"]


def test_networks_of_other_names_are_one_line(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a", ["shared", *(f"a{i}" for i in range(5))])
    b = checkpoint("b", ["shared", *(f"b{i}" for i in range(25))])
    (line,) = refusal(run, Average(), [a, b])
    assert line.startswith("a and b are different networks: of 6 and 26 tensors, 1 have the same")
    assert "'a0' is in a alone" in line


PART = st.sampled_from(["a", "b", "c[0]", "d*", "0", "1"])
NAME = st.lists(PART, min_size=1, max_size=4).map(".".join)


@given(every=st.lists(NAME, unique=True, min_size=1, max_size=10), data=st.data())
def test_patterns_match_these_names_and_no_others(every: list[str], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(every), unique=True, min_size=1))
    found = patterns(names, every)
    matched = {name for name in every if any(fnmatchcase(name, glob) for glob in found)}
    assert matched == set(names)
    assert len(found) <= len(names)


def test_a_path_with_a_quote_is_quoted_for_the_shell(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("it's a.pt", [*BODY, "x"]), checkpoint("b", BODY)]
    line = refusal(run, Average(), models)[-1]
    assert rules_of(line) == [{"match": "x", "copy": "it's a.pt"}]
    assert re.search(r"--copy '\"|--copy '", line)
