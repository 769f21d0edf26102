import json

import numpy as np
import torch
from bench.family import (
    FAMILIES,
    Family,
    checkpoints,
    encode,
    present,
    round_to_bfloat16,
    split_into_shards,
    write,
)
from safetensors.torch import load_file

SMALL = Family("small", {"a.weight": (3, 5), "norm.weight": (7,)}, "BF16", {"model_type": "x"})


def bytes_of(root):
    return {file.relative_to(root): file.read_bytes() for file in root.rglob("*.safetensors")}


def test_the_full_family_is_the_one_that_is_documented():
    full = FAMILIES["full"]
    assert 0.54e9 < full.numel < 0.56e9
    assert len(split_into_shards(full)) == 3


def test_writing_again_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write(SMALL, tmp_path / name)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_present_knows_another_description(tmp_path):
    assert not present(SMALL, tmp_path)
    write(SMALL, tmp_path)
    assert present(SMALL, tmp_path)
    assert not present(Family("small", SMALL.shapes, "F32", SMALL.config), tmp_path)


def test_fine_tunes_share_half_of_their_task_vectors(tmp_path):
    family = Family("one", {"weight": (400, 500)}, "F32")
    write(family, tmp_path)
    models = {
        name: load_file(checkpoint.single_file)["weight"].double().flatten()
        for name, checkpoint in checkpoints("one", tmp_path).items()
    }
    deltas = [models[name] - models["base"] for name in ("ft0", "ft1")]
    cosine = torch.nn.functional.cosine_similarity(*deltas, dim=0).item()
    assert abs(cosine - 0.5) < 0.01


def test_shards_and_index_agree(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.family.split_into_shards", lambda _: [["a.weight"], ["norm.weight"]])
    write(SMALL, tmp_path)
    directory = checkpoints("small", tmp_path)["ft1"].directory
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    for name, file in index["weight_map"].items():
        found = load_file(directory / file)
        assert found.keys() == {name}
        assert tuple(found[name].shape) == SMALL.shapes[name]
        assert found[name].dtype == torch.bfloat16


def test_bfloat16_rounds_as_torch_does():
    values_N = np.random.default_rng(0).standard_normal(100_000, dtype=np.float32)
    values_N[:4] = [1 + 2**-8, 1 + 3 * 2**-8, -0.0, 1e-30]
    expected = torch.from_numpy(values_N).bfloat16().view(torch.uint16).numpy()
    assert encode(values_N, "BF16") == expected.astype("<u2").tobytes()
    back_N = torch.from_numpy(values_N).bfloat16().float().numpy()
    assert np.array_equal(round_to_bfloat16(values_N), back_N)
