"""Files of other formats: what they are called, and lines that convert them and run."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    return text


def line_of(text: str) -> list[str]:
    """The command on the last line, as a shell splits it."""
    words = shlex.split(text.splitlines()[-1])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "line", "exec")
    return words


def run(text: str, out: Path) -> dict[str, torch.Tensor]:
    """Run the line that a refusal gives; what it has made, as a checkpoint."""
    words = line_of(text)
    exec(words[2], {})
    return {name: entry.load() for name, entry in read_checkpoint(out).entries.items()}


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "it's flat.npz"
    arrays = {"params/kernel": np.arange(6, dtype="f4").reshape(2, 3), "b": np.ones(2, "f2")}
    np.savez(path, **arrays)
    text = refusal(path)
    assert "NumPy archive (.npz)" in text
    made = run(text, tmp_path / "it's flat.safetensors")
    assert set(made) == set(arrays)
    assert all(torch.equal(made[name], torch.from_numpy(one)) for name, one in arrays.items())


def test_npy(tmp_path: Path) -> None:
    path = tmp_path / "one.npy"
    np.save(path, np.arange(4.0))
    made = run(refusal(path), tmp_path / "one.safetensors")
    assert torch.equal(made["weight"], torch.arange(4.0, dtype=torch.float64))


def zipped(path: Path, *members: str) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, "{}")


def test_keras_and_other_archives(tmp_path: Path) -> None:
    zipped(tmp_path / "m.keras", "metadata.json", "config.json", "model.weights.h5")
    text = refusal(tmp_path / "m.keras")
    assert "Keras model (.keras)" in text
    assert "keras.saving.load_model" in line_of(text)[2]
    zipped(tmp_path / "x.zip", "readme.txt")
    assert "unpack it first" in refusal(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("name", "content", "kind", "call"),
    [
        ("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5 file (Keras, .h5)", "h5py.File"),
        ("m.bin", b"\x89HDF\r\n\x1a\n", "HDF5", "h5py.File"),
        ("m.onnx", b"\x08\x0a\x12\x00:\x10", "ONNX graph", "onnx.load"),
        ("m", b"\x08\x09\x12\x07pytorch", "ONNX graph", "onnx.load"),
        ("flax_model.msgpack", b"\x81\xa6params\x81\xa6kernel", "Flax", "msgpack_restore"),
        ("m", b"\xde\x00\x20\xd9\x21abc", "Flax", "msgpack_restore"),
        ("m.gguf", b"GGUF\x03\x00\x00\x00", "GGUF file", "gguf_file"),
        ("model.ckpt.index", b"\x00\x00\x0b", "TensorFlow checkpoint", "load_checkpoint"),
        ("model.ckpt.data-00000-of-00001", b"\x00" * 9, "TensorFlow", "load_checkpoint"),
    ],
)
def test_formats(tmp_path: Path, name: str, content: bytes, kind: str, call: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert kind in text.splitlines()[0]
    assert call in line_of(text)[2]


def test_a_tensorflow_checkpoint_by_the_name_that_tensorflow_takes(tmp_path: Path) -> None:
    for suffix in ("index", "data-00000-of-00001"):
        (tmp_path / f"model.ckpt.{suffix}").write_bytes(b"\x00")
    assert f"{tmp_path}/model.ckpt is a TensorFlow checkpoint" in refusal(tmp_path / "model.ckpt")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").write_bytes(b"\x08\x01")
    assert "SavedModel" in refusal(tmp_path / "saved")
    assert "TensorFlow's (.pb)" in refusal(tmp_path / "saved/saved_model.pb")
    with pytest.raises(CheckpointError, match="TensorFlow checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors.index.json", "x.index.json"])
def test_an_index_names_its_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"weight_map": {}}')
    assert f"name its directory instead, {tmp_path}" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    "save",
    [
        lambda path: torch.save({"w": torch.ones(2)}, path),
        lambda path: torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False),
    ],
)
@pytest.mark.parametrize("name", ["m.onnx", "m.h5", "m.msgpack", "m.npz", "m.pkl"])
def test_a_torch_file_is_read_whatever_it_is_called(
    tmp_path: Path, save: Callable[[Path], None], name: str
) -> None:
    save(tmp_path / name)
    assert torch.equal(read_checkpoint(tmp_path / name).entries["w"].load(), torch.ones(2))
