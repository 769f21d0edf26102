"""Consensus merging between task arithmetic and the base, and what the manifest counts."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import stockpot as sp
from stockpot.core import SEGMENT
from stockpot.methods import Consensus, TaskArithmetic, Weave
from stockpot.testing.cases import State, bits, smooth

from ..cases import cut

SHAPES = [(60, 31), (999,), (), (0, 3)]
BASE, MODELS = smooth(SHAPES, 3, 0)


@pytest.mark.parametrize("ratio", [0.0, 0.4, (0.2, 3.0, 0.6)])
def test_no_mask_asked_is_task_arithmetic_and_more_than_there_are_the_base(ratio: Any) -> None:
    weights = [0.5, 1.0, -0.25]

    def merged(method: Any) -> dict[str, bytes]:
        return bits(sp.merge(MODELS, method, base=BASE, weights=weights))

    assert merged(Consensus(agree=0, ratio=ratio, scale=0.3)) == merged(TaskArithmetic(scale=0.3))
    assert merged(Consensus(agree=4, ratio=ratio)) == bits(BASE)


def test_a_ratio_of_nothing_agrees_everywhere() -> None:
    merged = sp.merge(MODELS, Consensus(agree=3, ratio=0.0), base=BASE)
    assert bits(merged) == bits(sp.merge(MODELS, TaskArithmetic(), base=BASE))


def test_one_model_agrees_with_itself() -> None:
    assert bits(sp.merge(MODELS[:1], Consensus(agree=1, ratio=9.0), base=BASE)) == bits(MODELS[0])


def test_what_one_model_alone_wants_is_dropped_and_what_two_share_is_kept() -> None:
    base = {"w": torch.zeros(3)}
    models = [{"w": torch.tensor(v)} for v in ([1.0, 1.0, 0.1], [0.0, 1.0, 0.1], [0.0, 0.0, -5.0])]
    merged = sp.merge(models, Consensus(), base=base)["w"]
    assert merged.tolist() == [0.0, 2.0, 0.0]
    assert sp.merge(models, Consensus(agree=1), base=base)["w"][0] == 1


def test_fewer_are_kept_the_more_must_agree() -> None:
    kept = []
    for agree in range(5):
        merged = sp.merge(MODELS, Consensus(agree=agree), base=BASE)
        kept.append({n: t != BASE[n] for n, t in merged.items()})
    for more, fewer in pairwise(kept):
        assert all((more[n] | ~fewer[n]).all() for n in BASE)
    assert sum(int(k.sum()) for k in kept[1].values()) > sum(int(k.sum()) for k in kept[2].values())


def written(out: Path, states: list[State], method: Any, **how: Any) -> Mapping[str, Any]:
    paths = [out.parent / f"{i}.safetensors" for i in range(len(states))]
    for path, state in zip(paths, states, strict=True):
        save_file(state, path)
    sp.merge_to(out, paths[1:], method, base=paths[0], device="cpu", **how)
    return json.loads(out.with_name(out.name + ".merge.json").read_text())


def expected(base: State, models: list[State], agree: int, ratio: float) -> dict[str, int]:
    found = {}
    for name, origin in base.items():
        deltas = np.stack([(m[name].float() - origin.float()).numpy() for m in models])
        total = deltas.sum(0)
        masks = np.abs(deltas) >= np.float32(ratio) * np.abs(total - deltas)
        found[name] = int(((masks.sum(0) >= agree) & (total != 0)).sum())
    return found


@pytest.mark.parametrize(
    "how", [{"workers": 1}, {"workers": 3, "memory": "16MiB"}, {"memory": "1MiB"}]
)
def test_the_manifest_counts_what_is_kept_however_the_work_is_cut(
    how: dict[str, Any], tmp_path: Path
) -> None:
    base, models = smooth([(3 * SEGMENT + 5,), (150, 41), (7,), (), (9, 9)], 3, 4, torch.bfloat16)
    method = Consensus(ratio=0.5)
    with cut(BLOCK=SEGMENT):
        manifest = written(tmp_path / "out.safetensors", [base, *models], method, **how)
    counts = expected(base, models, 2, 0.5)
    for name, tensor in base.items():
        settled = manifest["tensors"][name]["settled"]
        assert settled == {"kept": counts[name], "total": tensor.numel()}
    assert manifest["settled"] == [
        {
            "method": repr(method),
            "tensors": 5,
            "models": [0, 1, 2],
            "kept": sum(counts.values()),
            "total": sum(t.numel() for t in base.values()),
        }
    ]


def test_a_method_that_counts_nothing_and_a_weave_report_nothing(tmp_path: Path) -> None:
    for i, method in enumerate([TaskArithmetic(), Weave(Consensus(), grid={"agree": (1, 2)})]):
        manifest = written(tmp_path / f"out{i}.safetensors", [BASE, *MODELS], method)
        assert manifest["settled"] == []
        assert "settled" not in manifest["tensors"]["layers.0.weight"]
