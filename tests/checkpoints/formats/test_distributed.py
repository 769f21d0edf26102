"""Directories of torch.distributed.checkpoint, as its own save wrote them."""

import os
import pickle
import pickletools
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

import stockpot as sp
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError
from stockpot.methods import Average


def save(state, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=path, no_dist=True)
    return path


def network(*, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).bfloat16())


def trained(path: Path, *, seed=0):
    """A model beside its optimizer, as training scripts keep them."""
    one = network(seed=seed)
    optimizer = torch.optim.AdamW(one.parameters())
    sum(p.float().square().sum() for p in one.parameters()).backward()
    optimizer.step()
    save({"model": one.state_dict(), "optim": optimizer.state_dict(), "step": 7}, path)
    return one.state_dict()


def loaded(path: Path):
    return {name: entry.load() for name, entry in read_checkpoint(path).entries.items()}


def same(one, other):
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name])


def test_the_model_is_found_beside_the_optimizer(tmp_path):
    state = trained(tmp_path / "ckpt")
    checkpoint = read_checkpoint(tmp_path / "ckpt")
    same(loaded(tmp_path / "ckpt"), state)
    assert checkpoint.directory == tmp_path / "ckpt"
    assert "took the state dict under 'model'" in checkpoint.notes[0]
    assert [file.path.suffix for file in checkpoint.files] == [".distcp"]


def test_a_state_dict_at_the_top_and_a_key(tmp_path):
    state = network().state_dict()
    same(loaded(save(state, tmp_path / "flat")), state)
    both = {"a": state, "b": network(seed=1).state_dict()}
    save(both, tmp_path / "both")
    with pytest.raises(CheckpointError, match="several state dicts"):
        read_checkpoint(tmp_path / "both")
    chosen = read_checkpoint(tmp_path / "both", key="b")
    same({name: entry.load() for name, entry in chosen.entries.items()}, both["b"])


def test_shards_are_joined(tmp_path):
    from torch.distributed.tensor._shards_wrapper import LocalShardsWrapper

    whole = torch.arange(6 * 8.0).reshape(6, 8)
    parts = [whole[:, :3].clone(), whole[:, 3:4].clone(), whole[:, 4:].clone()]
    sharded = LocalShardsWrapper(parts, [(0, 0), (0, 3), (0, 4)])
    found = loaded(save({"columns": sharded, "w": torch.ones(2)}, tmp_path / "ckpt"))
    assert torch.equal(found["columns"], whole)


def test_checkpoints_of_a_run_are_averaged_where_they_lie(tmp_path):
    states = [trained(tmp_path / f"step-{k}", seed=k) for k in range(3)]
    paths = [tmp_path / f"step-{k}" for k in range(3)]
    sp.merge_to(tmp_path / "out.safetensors", paths, Average())
    merged, expected = loaded(tmp_path / "out.safetensors"), sp.merge(states, Average())
    assert set(merged) == set(expected)
    assert all(torch.equal(merged[name], one) for name, one in expected.items())


def test_a_view_of_a_larger_storage_and_odd_shapes(tmp_path):
    state = {
        "turned": torch.arange(12.0).reshape(3, 4).T,
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "half": torch.ones(3, dtype=torch.float16),
    }
    found = loaded(save(state, tmp_path / "ckpt"))
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor)


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_a_pickle_that_names_anything_else_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = save({"w": torch.zeros(2)}, tmp_path / "ckpt")
    (folder / ".metadata").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"names 'posix\.system', which is refused"):
        read_checkpoint(folder)
    assert not (tmp_path / "pwned").exists()


def rewritten(folder: Path, change) -> Path:
    """The same checkpoint with other metadata, written with torch's own classes."""
    path = folder / ".metadata"
    metadata = pickle.loads(path.read_bytes())
    change(metadata)
    path.write_bytes(pickle.dumps(metadata))
    return folder


def first(mapping):
    return next(iter(mapping.values()))


def at(name, value):
    return lambda metadata: setattr(first(metadata.storage_data), name, value)


def of_tensor(name, value):
    return lambda metadata: setattr(metadata.state_dict_metadata["w"], name, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (at("relative_path", "../elsewhere.distcp"), "Do not trust this checkpoint"),
        (at("relative_path", "other.distcp"), "cannot open"),
        (at("offset", 10**9), "is truncated: 'w' should lie at 1000000000"),
        (at("offset", -1), "is truncated"),
        (lambda m: (at("offset", 3)(m), at("length", 1000)(m)), "does not hold 'w' where it"),
        (at("length", 5), "truncated or damaged|cannot be read"),
        (at("transform_descriptors", ["zstd"]), r"stored transformed \(\['zstd'\]\)"),
        (of_tensor("size", torch.Size([9, 4])), "do not cover it"),
        (of_tensor("chunks", []), "do not cover it"),
        (lambda m: m.storage_data.clear(), "lies in no file"),
        (lambda m: setattr(m, "storage_data", None), "is not metadata"),
        (lambda m: setattr(m.state_dict_metadata["w"].properties, "dtype", torch.float16),
         r"stored as torch\.float32 \(4, 4\)"),
        (lambda m: setattr(m.state_dict_metadata["w"].properties, "dtype", torch.qint8),
         r"is torch\.qint8; stockpot can merge"),
    ],
)  # fmt: skip
def test_metadata_that_does_not_add_up_is_refused(change, said, tmp_path):
    folder = rewritten(save({"w": torch.rand(4, 4)}, tmp_path / "ckpt"), change)
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(folder)


def test_what_is_cut_damaged_or_half_copied_is_refused(tmp_path):
    folder = save({"w": torch.rand(4, 4)}, tmp_path / "ckpt")
    data, metadata = folder / "__0_0.distcp", folder / ".metadata"
    whole = metadata.read_bytes()
    for cut in range(0, len(whole), 37):
        metadata.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError):
            read_checkpoint(folder)
    metadata.write_bytes(whole)
    data.write_bytes(data.read_bytes()[:700])
    with pytest.raises(CheckpointError, match="is truncated"):
        read_checkpoint(folder)
    with pytest.raises(CheckpointError, match="name its directory"):
        read_checkpoint(data)
    metadata.unlink()
    with pytest.raises(CheckpointError, match="never finished, or not all of it was copied"):
        read_checkpoint(folder)


def test_random_bytes_in_the_metadata_never_end_in_a_traceback(tmp_path):
    folder = save({"model": {"w": torch.rand(4, 4)}}, tmp_path / "ckpt")
    path, draws = folder / ".metadata", torch.Generator().manual_seed(0)
    whole = path.read_bytes()
    for _ in range(300):
        changed = bytearray(whole)
        for place in torch.randint(len(whole), (3,), generator=draws).tolist():
            changed[place] = int(torch.randint(256, (), generator=draws))
        path.write_bytes(bytes(changed))
        try:
            loaded(folder)
        except CheckpointError:
            continue


def test_the_list_of_names_is_what_torch_writes(tmp_path):
    folder = save({"w": torch.rand(4, 4), "step": 3}, tmp_path / "ckpt")
    strings = [
        argument
        for _, argument, _ in pickletools.genops((folder / ".metadata").read_bytes())
        if isinstance(argument, str)
    ]
    assert {"TensorStorageMetadata", "BytesStorageMetadata", "_StorageInfo"} <= set(strings)


WORKER = """
import sys, torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, Replicate, distribute_tensor
rank, path = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{path}.rendezvous", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
whole = torch.arange(7 * 6.0).reshape(7, 6)
dcp.save({"model": {
    "rows": distribute_tensor(whole, mesh, [Shard(0)]),
    "columns": distribute_tensor(whole, mesh, [Shard(1)]),
    "copies": distribute_tensor(whole, mesh, [Replicate()]),
}}, checkpoint_id=path)
dist.destroy_process_group()
"""


@pytest.mark.full
def test_two_ranks_write_shards_of_distributed_tensors(tmp_path):
    import subprocess
    import sys

    path = str(tmp_path / "ckpt")
    ranks = [subprocess.Popen([sys.executable, "-c", WORKER, str(k), path]) for k in range(2)]
    assert [one.wait(120) for one in ranks] == [0, 0]
    whole = torch.arange(7 * 6.0).reshape(7, 6)
    found = loaded(tmp_path / "ckpt")
    assert len(list((tmp_path / "ckpt").glob("*.distcp"))) == 2
    assert all(torch.equal(found[name], whole) for name in ("rows", "columns", "copies"))
