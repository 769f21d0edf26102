"""What Python hands over: dense tensors and arrays are taken, all else is refused by its name."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import stockpot as sp
from stockpot.checkpoints.entry import from_state_dict
from stockpot.checkpoints.formats.in_memory import check_expansion
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError, StockpotError
from stockpot.methods import Average

ARRAYS = {
    "plain": np.arange(6, dtype="f4").reshape(2, 3),
    "read-only": np.broadcast_to(np.arange(3, dtype="f8"), (2, 3)),
    "backwards": np.arange(6, dtype="f4").reshape(2, 3)[::-1, ::-1],
    "big-endian": np.arange(3, dtype=">f4"),
    "columns": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
    "scalar": np.float32(3),
    "whole": np.arange(3, dtype="u2"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_taken_as_tensors(kind: str) -> None:
    array = ARRAYS[kind]
    entry = from_state_dict({"w": array}, "m").entries["w"]
    assert entry.load().tolist() == np.asarray(array).tolist()


def test_arrays_and_tensors_merge_with_one_another() -> None:
    merged = sp.merge([{"w": np.zeros(2, "f4")}, {"w": torch.ones(2)}], Average())  # type: ignore[dict-item]
    assert torch.equal(merged["w"], torch.full((2,), 0.5))


def negative() -> Tensor:
    return torch.tensor([1 + 2j, 3 - 4j]).conj().imag


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        (torch.ones(1).expand(2, 2), [[1, 1], [1, 1]]),
        (torch.arange(4.0).reshape(2, 2).T, [[0, 2], [1, 3]]),
        (nn.Parameter(torch.ones(2)), [1, 1]),
        (nn.Buffer(torch.ones(2)), [1, 1]),
        (negative(), [-2, 4]),
        (torch.ones(2, requires_grad=True) * 2, [2, 2]),
        (torch.empty(0), []),
    ],
)
def test_tensors_of_every_kind_in_memory(tensor: Tensor, values: list[object]) -> None:
    assert from_state_dict({"w": tensor}, "m").entries["w"].load().tolist() == values


def freed() -> Tensor:
    tensor = torch.ones(3)
    tensor.untyped_storage().resize_(0)
    return tensor


def fake() -> Tensor:
    with FakeTensorMode():
        return torch.ones(2)


def quantised() -> Tensor:
    return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: [1, 2], "is a list; expected a tensor or a NumPy array"),
        (lambda: None, "is None; expected"),
        (lambda: np.array([None]), r"is an array \(ndarray\) of object"),
        (lambda: np.ma.ones(3), r"is an array \(MaskedArray\) of float64"),
        (lambda: torch.eye(2).to_sparse(), r"is torch\.sparse_coo, not a dense tensor"),
        (lambda: torch.eye(2).to_sparse_csr(), r"is torch\.sparse_csr, not a dense tensor"),
        (quantised, r"is quantised \(torch\.qint8\)"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested tensor"),
        (lambda: torch.empty(2, device="meta"), "has a shape and no numbers"),
        (fake, "is a FakeTensor, which has no memory of its own"),
        (freed, "has no memory: FSDP or ZeRO freed it"),
        (lambda: torch.ones([1] * 65), "has 65 dimensions"),
        (lambda: nn.LazyLinear(2).weight, "is not initialised"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_what_is_no_dense_tensor_is_named(make: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=rf"'odd' in models\[1\] {words}|'odd' in .*{words}"):
        sp.merge([{"odd": torch.ones(2)}, {"odd": make()}], Average())  # type: ignore[operator]


def test_entries_that_are_none_of_a_state_dict() -> None:
    with pytest.raises(
        StockpotError, match=r"'l\._extra_state' in models\[0\] is a dict.*leave it"
    ):
        sp.merge([{"l._extra_state": {"x": 1}}], Average())  # type: ignore[dict-item]
    with pytest.raises(StockpotError, match="an entry under 3, which is an int"):
        sp.merge([{3: torch.ones(1)}], Average())  # type: ignore[dict-item]
    with pytest.raises(StockpotError, match=r"models\[0\] holds no tensors"):
        sp.merge([{}], Average())
    with pytest.raises(StockpotError, match=r"models\[0\] is an int; expected a state dict"):
        sp.merge([3], Average())  # type: ignore[list-item]
    with pytest.raises(StockpotError, match="models must be a list; got a dict"):
        sp.merge({"w": torch.ones(1)}, Average())  # type: ignore[arg-type]


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2))


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile uses torch.jit
def test_a_wrapped_network_is_the_one_within(
    wrap: object, caplog: pytest.LogCaptureFixture
) -> None:
    plain = sp.merge([network(0), network(1)], Average())
    with caplog.at_level(logging.WARNING, "stockpot"):
        merged = sp.merge([wrap(network(0)), network(1)], Average())  # type: ignore[operator]
    assert list(merged) == ["0.weight", "0.bias"]
    assert all(torch.equal(merged[name], plain[name]) for name in plain)
    assert "models[0]: took the prefix" in caplog.text


def test_few_bytes_do_not_become_terabytes() -> None:
    one = torch.ones(1)
    with pytest.raises(CheckpointError, match=r"holds 4 bytes.* 1,600,000,000 .*'w'"):
        from_state_dict({"w": one.expand(400, 10**6)}, "m")
    many = {str(i): one.expand(2**20) for i in range(17)}
    with pytest.raises(CheckpointError, match="repeat the same bytes"):
        from_state_dict(many, "m")
    assert len(from_state_dict({"w": one.expand(64, 1024)}, "m").entries) == 1
    check_expansion({"w": 16 * 2**30}, 2**30, "m")


@pytest.mark.parametrize("zipped", [True, False])
def test_nor_do_those_of_a_file(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "m.pt"
    expanded = torch.ones(1).expand(400, 10**6)
    torch.save({"w": expanded}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"would take 1,600,000,000 written out"):
        read_checkpoint(path)
