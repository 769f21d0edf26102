import math

import pytest
import torch
from torch import Tensor

from stockpot.checkpoints.entry import Checkpoint, from_state_dict
from stockpot.checkpoints.inspection import dtype_text, every_fit, fit, role_totals
from stockpot.checkpoints.roles import Role


def state(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "embed_tokens.weight": torch.randn(30, 20, generator=generator),
        "q.weight": torch.randn(90, 100, generator=generator),
        "k.weight": torch.randn(20, 20, generator=generator).bfloat16(),
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "q.bias": torch.randn(20, generator=generator),
        "n.num_batches_tracked": torch.tensor(3),
    }


def opened(tensors: dict[str, Tensor], label: str = "m") -> Checkpoint:
    return from_state_dict(tensors, label)


def test_totals_by_role_and_dtype() -> None:
    found = role_totals(opened(state(0)))
    assert [t.bytes for t in found] == sorted((t.bytes for t in found), reverse=True)
    by = {(t.role, t.dtype): t for t in found}
    assert by[Role.MATRIX, "float32"].elements == 9000
    assert by[Role.MATRIX, "bfloat16"].bytes == 800
    assert by[Role.CONV, "float32"].tensors == 1
    assert by[Role.COUNTER, "int64"].bytes == 8
    assert by[Role.EMBEDDING, "float32"].elements == 600
    assert sum(t.tensors for t in found) == len(state(0))


def test_tied_tensors_are_told() -> None:
    tensors = state(0)
    tensors["head.weight"] = tensors["embed_tokens.weight"]
    found = {t.role: t for t in role_totals(opened(tensors))}
    assert found[Role.TIED_ALIAS].tensors == 1
    assert opened(tensors).nbytes == opened(state(0)).nbytes


def test_dtype_text() -> None:
    assert dtype_text(opened(state(0)).entries["k.weight"]) == "bfloat16"


def test_a_model_fits_itself() -> None:
    found = fit(opened(state(0)), opened(state(0), "same"))
    assert found.label == "same"
    assert found.differences == ()
    assert found.cosine == pytest.approx(1, abs=1e-6)
    assert found.same_origin


def test_fine_tunes_share_an_origin_and_strangers_do_not() -> None:
    base, noise = state(0), state(1)
    near = {
        n: t + 0.2 * noise[n].to(t.dtype) if t.is_floating_point() else t for n, t in base.items()
    }
    tuned, stranger = every_fit([opened(base), opened(near, "near"), opened(noise, "far")])
    assert tuned.same_origin
    assert tuned.cosine is not None
    assert 0.9 < tuned.cosine < 1
    assert not stranger.same_origin
    assert stranger.cosine is not None
    assert abs(stranger.cosine) < 0.2


def test_differences_are_told_in_sentences() -> None:
    other = state(0)
    del other["q.bias"]
    other["k.weight"] = torch.ones(3, 3)
    other["more.weight"] = torch.ones(2)
    found = fit(opened(state(0), "one"), opened(other, "two"))
    assert found.differences == (
        "'k.weight' in two is (3, 3); one has (20, 20).",
        "'q.bias' is missing in two.",
        "'more.weight' is only in two.",
    )


def test_nothing_to_compare() -> None:
    found = fit(opened({"a.bias": torch.ones(3)}), opened({"a.bias": torch.ones(3)}))
    assert found.cosine is None
    assert not found.same_origin


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_degenerate_matrices_share_no_origin(value: float) -> None:
    tensors = {"w.weight": torch.full((4, 4), value), "e.weight": torch.zeros(0, 3)}
    assert not fit(opened(tensors), opened(tensors)).same_origin


def test_many_large_matrices_are_sampled() -> None:
    class Counted:
        read = 0

        def read_into(self, buffer: memoryview, offset: int) -> None:
            Counted.read += len(buffer)
            buffer[:] = bytes([60]) * len(buffer)

    from stockpot.checkpoints.entry import TensorEntry

    source = Counted()
    entries = {
        f"l{i}.weight": TensorEntry(f"l{i}.weight", torch.float32, (2**10, 2**10), source, 0)
        for i in range(300)
    }
    found = fit(Checkpoint("a", entries), Checkpoint("b", entries))
    assert found.same_origin
    assert Counted.read <= 2 * 64 * 4096 * 4
