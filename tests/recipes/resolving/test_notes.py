from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from stockpot.checkpoints.entry import Checkpoint, from_state_dict
from stockpot.checkpoints.read import read_checkpoint
from stockpot.methods import Average, Interpolate, TaskArithmetic, Ties
from stockpot.recipes.resolving.assignment import Assignments

Make = Callable[..., Checkpoint]
Run = Callable[..., Assignments]
NAMES = ["embed.weight", "h.0.w", "h.1.w"]


def test_nothing_to_say(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    assert run(Ties(), models, base).notes == ()
    assert run(Average(), models).notes == ()


def test_a_base_that_is_ignored(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    expected = "the base base does not change the result: it is not used by average."
    assert run(Average(), models, base).notes == (expected,)
    assert run(Average(), models, base, rules=[{"match": "embed.*", "copy": "base"}]).notes == ()
    assert run(Average(), models, base, only=["h.*"]).notes == ()
    assert run(Average(), models, base, rules=[{"match": "embed.*", "method": "ties"}]).notes == ()
    assert run(Interpolate(), models[:1], base).notes == ()


def test_a_base_that_only_gives_counters_is_ignored(checkpoint: Make, run: Run) -> None:
    counted = [*NAMES, "bn.num_batches_tracked"]
    models, base = [checkpoint(label, counted) for label in "ab"], checkpoint("base", counted)
    assert run(Average(), models, base).notes[0].startswith("the base base does not change")


def test_what_only_the_base_has(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint("a", NAMES)], checkpoint("base", [*NAMES, "pooler.w", "pooler.b"])
    expected = "left out, as only the base has it: 'pooler.w' and 1 more."
    assert run(Ties(), models, base).notes == (expected,)


def test_a_method_s_advice_is_given_once(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    method = TaskArithmetic(scale=1.0)
    advice = tuple(method.advice((1.0, 1.0)))
    assert len(advice) == 1
    assert run(method, models, base).notes == advice
    assert run(method, models, base, [0.3, 0.3]).notes == ()
    assert len(run(method, models, base, layers={"scale": [1.0, 3.0]}).notes) == 1


def test_mixed_dtypes(checkpoint: Make, run: Run) -> None:
    models = [checkpoint("a", NAMES), checkpoint("b", NAMES, dtype=torch.bfloat16)]
    expected = (
        "the models differ in dtype (bfloat16, float32); written as float32: "
        "'embed.weight' and 2 more."
    )
    assert run(Average(), models).notes == (expected,)
    written = run(Average(), models, output={"dtype": "float16"}).notes[0]
    assert "written as float16" in written


def state(count: int, mean: float = 0.0) -> dict[str, torch.Tensor]:
    return {
        "w": torch.zeros(3),
        "bn.running_mean": torch.full((3,), mean),
        "bn.running_var": torch.ones(3),
        "bn.num_batches_tracked": torch.tensor(count),
    }


def test_norm_stats_and_counters(run: Run) -> None:
    same = [from_state_dict(state(7), "a"), from_state_dict(state(7), "b")]
    averaged = (
        "norm-stats are averaged, and an average of statistics is not the statistics of the "
        "average: 'bn.running_mean' and 1 more. Estimate them again on training data: "
        "`--reestimate` in this command, `stockpot reestimate` after it, "
        "`stockpot.reestimate_batch_norm` in Python."
    )
    assert run(Average(), same).notes == (averaged,)
    differ = [from_state_dict(state(7), "a"), from_state_dict(state(8), "b")]
    copied = "counters that differ between the models are copied: 'bn.num_batches_tracked'."
    assert run(Average(), differ).notes == (averaged, copied)


def test_norm_stats_that_a_rule_copies_are_not_mentioned(run: Run) -> None:
    models = [from_state_dict(state(7), "a"), from_state_dict(state(7), "b")]
    assert run(Average(), models, rules=[{"role": "norm-stat", "copy": 0}]).notes == ()


def test_counters_of_different_shapes_differ(checkpoint: Make, run: Run) -> None:
    a = checkpoint("a", {"w": ((2,), torch.float32), "position_ids": ((1, 8), torch.int64)})
    b = checkpoint("b", {"w": ((2,), torch.float32), "position_ids": ((1, 9), torch.int64)})
    assert "'position_ids'" in run(Average(), [a, b]).notes[0]


def test_counters_are_compared_to_their_last_element(run: Run) -> None:
    weights, masks = {"w": torch.zeros(3)}, [torch.zeros(1 << 16, dtype=torch.int32)] * 2
    assert run(Average(), [from_state_dict(weights | {"m": m}, "a") for m in masks]).notes == ()
    masks = [masks[0], masks[0].index_fill(0, torch.tensor([-1]), 1)]
    models = [from_state_dict(weights | {"m": mask}, "ab"[i]) for i, mask in enumerate(masks)]
    expected = "counters that differ between the models are copied: 'm'."
    assert run(Average(), models).notes == (expected,)


def test_a_rule_without_effect_is_noted_first(checkpoint: Make, run: Run) -> None:
    models, base = [checkpoint(label, NAMES) for label in "ab"], checkpoint("base", NAMES)
    rules = [{"match": "h.*", "method": "median"}, {"match": "h.0.*", "method": "average"}]
    notes = run(Average(), models, base, rules=rules).notes
    assert notes[0].startswith("rules[1]: match 'h.0.*' decides no tensor")
    assert notes[1].startswith("the base base does not change")


def test_counters_of_any_dtype_are_compared(run: Run) -> None:
    def counted(count: float) -> dict[str, torch.Tensor]:
        count_ = torch.tensor(count, dtype=torch.bfloat16)
        return {"w": torch.zeros(2), "num_batches_tracked": count_}

    a, b, c = (from_state_dict(counted(n), "x") for n in (1.0, 2.0, 1.0))
    assert "'num_batches_tracked'" in run(Average(), [a, b]).notes[0]
    assert run(Average(), [a, c]).notes == ()


def test_counters_that_only_some_models_have(checkpoint: Make, run: Run) -> None:
    """Neither a refusal nor a mean: AveragedModel's n_averaged, position_ids of older files."""
    counter = {"position_ids": ((1, 4), torch.int64)}
    body = dict.fromkeys(NAMES, ((4, 4), torch.float32))
    models = [checkpoint("a", body), checkpoint("b", body | counter)]
    for missing in ("error", "present"):
        found = run(Average(), models, missing=missing)
        (copied,) = [tensor for tensor in found.tensors if tensor.name == "position_ids"]
        assert copied.copy_from is models[1].entries["position_ids"]
        assert copied.dtype == torch.int64
        assert found.notes == (
            "counters that not every model has are copied from one that has them: 'position_ids'.",
        )


def test_counters_of_whole_numbers_come_before_spoiled_ones(checkpoint: Make, run: Run) -> None:
    body = dict.fromkeys(NAMES, ((4, 4), torch.float32))
    spoiled = checkpoint("a", body | {"position_ids": ((1, 4), torch.float16)})
    whole = checkpoint("b", body | {"position_ids": ((1, 4), torch.int64)})
    for models in ([spoiled, whole], [whole, spoiled]):
        (copied,) = [t for t in run(Average(), models).tensors if t.name == "position_ids"]
        assert copied.copy_from is whole.entries["position_ids"]
    (copied,) = [t for t in run(Average(), [spoiled]).tensors if t.name == "position_ids"]
    assert copied.dtype == torch.float16


def test_a_base_among_the_models_is_told(tmp_path: Path, run: Run) -> None:
    for name in ("base", "a"):
        save_file({"w.weight": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    (tmp_path / "link.safetensors").symlink_to("base.safetensors")
    base, a, link = (read_checkpoint(tmp_path / f"{n}.safetensors") for n in ("base", "a", "link"))
    expected = (
        f"the base {base.label} is listed among the models too: it counts as one of 2, with a task "
        "vector of zero."
    )
    assert run(Ties(), [base, a], base).notes == (expected,)
    assert run(Ties(), [a, link], base).notes == (expected,)
    assert run(Ties(), [a], base).notes == ()
    assert run(Interpolate(), [a], base).notes == ()
