"""Files of other formats, told by their first bytes, or by their name where bytes do not tell."""

import re
from collections.abc import Callable, Collection
from pathlib import Path

from ...errors import CheckpointError
from .lines import SAVE, converted, python_line, quoted

MAGIC = {
    b"version https://git-lfs": "is a git-lfs pointer, not the weights: run `git lfs pull` there",
    b"\x1f\x8b": "is compressed (gzip): unpack it first",
    b"BZh": "is compressed (bzip2): unpack it first",
    b"\xfd7zXZ": "is compressed (xz): unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): unpack it first",
}
"""First bytes of what people pass by mistake, and what to do about it."""

_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml|!--)", re.IGNORECASE)
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]")
_MSGPACK = re.compile(rb"([\x81-\x8f]|\xde..|\xdf....)([\xa1-\xbf]|\xd9.|\xda..)", re.DOTALL)
_TENSORFLOW = re.compile(r"(?P<stem>.+)\.(index|meta|data-\d{5}-of-\d{5})")


def refuse_file(path: Path, head: bytes) -> None:
    """Raise if the file is of a format that stockpot does not read.

    Args:
        path: the file.
        head: its first bytes, neither a safetensors header nor those of a torch file.

    Raises:
        CheckpointError: saying which format it is, and a line that converts it where there is one.
    """
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            raise CheckpointError(f"{path} {what}.")
    if head[257:262] == b"ustar":
        raise CheckpointError(f"{path} is a tar archive: unpack it first.")
    if _PAGE.match(head):
        raise CheckpointError(
            f"{path} is a web page, not weights: the download saved an error or login page. "
            "Open it in a browser to see which, then download the file itself."
        )
    if head.lstrip().startswith(b"{"):
        index = f"an index: name its directory instead, {path.parent}"
        raise CheckpointError(
            f"{path} is not weights but {index if 'index' in path.name else 'JSON text'}."
        )
    if match := _TENSORFLOW.fullmatch(path.name):
        raise CheckpointError(tensorflow_checkpoint(path.with_name(match["stem"])))
    if path.suffix in (".yml", ".yaml"):
        raise CheckpointError(
            f"{path} is YAML, not weights: `stockpot run` carries out a recipe, `stockpot compare` "
            "an experiment."
        )
    for is_so, sentence in _FORMATS:
        if is_so(path, head):
            raise CheckpointError(sentence(path))


def refuse_archive(path: Path, members: Collection[str]) -> None:
    """Raise if a zip file that torch did not write is of a kind that is known by its members."""
    if members and all(name.endswith(".npy") for name in members):
        code = (
            f"import numpy; {SAVE}; save_file(dict(numpy.load({quoted(path)})), {converted(path)})"
        )
        raise CheckpointError(
            f"{path} is a NumPy archive (.npz), which stockpot does not read. This makes a "
            f"safetensors file of it, each array under its name:{python_line(code)}"
        )
    if "model.weights.h5" in members:
        code = (
            f"import keras; {SAVE}; m = keras.saving.load_model({quoted(path)}); "
            f"save_file({{w.path: w.numpy() for w in m.weights}}, {converted(path)})"
        )
        raise CheckpointError(
            f"{path} is a Keras model (.keras), which stockpot does not read. This makes a "
            f"safetensors file of its weights:{python_line(code)}"
        )


def tensorflow_checkpoint(stem: Path) -> str:
    """What is said of a TensorFlow checkpoint, of which `stem` is what its files have in common."""
    code = (
        f"import tensorflow as tf; {SAVE}; r = tf.train.load_checkpoint({quoted(stem)}); "
        "d = r.get_variable_to_dtype_map(); "
        "save_file({n: r.get_tensor(n) for n in d if d[n] != tf.string}, "
        f"{quoted(stem.with_name(stem.name + '.safetensors'))})"
    )
    return (
        f"{stem} is a TensorFlow checkpoint (.index and .data files), which stockpot does not "
        f"read. This makes a safetensors file of its variables:{python_line(code)}"
    )


def _array(path: Path) -> str:
    code = (
        f'import numpy; {SAVE}; save_file({{"weight": numpy.load({quoted(path)})}}, '
        f"{converted(path)})"
    )
    return (
        f"{path} is one NumPy array (.npy), not named tensors. This makes a safetensors file with "
        f"it under the name 'weight':{python_line(code)}"
    )


def _hdf5(path: Path) -> str:
    code = (
        f"import h5py, numpy; {SAVE}; t = {{}}; h5py.File({quoted(path)}).visititems("
        "lambda n, d: t.update({n: numpy.asarray(d)}) if isinstance(d, h5py.Dataset) else None); "
        f"save_file(t, {converted(path)})"
    )
    return (
        f"{path} is an HDF5 file (Keras, .h5), which stockpot does not read. This makes a "
        f"safetensors file of its arrays:{python_line(code)}"
    )


def _gguf(path: Path) -> str:
    code = (
        "from transformers import AutoModelForCausalLM as M; "
        f"M.from_pretrained({quoted(path.parent)}, gguf_file={quoted(Path(path.name))})"
        f".save_pretrained({converted(path, '-unpacked')})"
    )
    return (
        f"{path} is a GGUF file, which is quantised or made for inference: merge what it was made "
        f"of. If that is lost, transformers unpacks some kinds of it:{python_line(code)}"
    )


def _onnx(path: Path) -> str:
    code = (
        f"import onnx; from onnx.numpy_helper import to_array; {SAVE}; "
        f"g = onnx.load({quoted(path)}).graph; "
        f"save_file({{i.name: to_array(i).copy() for i in g.initializer}}, {converted(path)})"
    )
    return (
        f"{path} is an ONNX graph, which is exported for inference and may have lost the names of "
        f"weights: merge what it was made of, or make a safetensors file of it:{python_line(code)}"
    )


def _flax(path: Path) -> str:
    code = (
        "import numpy, pathlib; from flax.serialization import msgpack_restore; "
        f"from flax.traverse_util import flatten_dict; {SAVE}; "
        f"d = msgpack_restore(pathlib.Path({quoted(path)}).read_bytes()); "
        'save_file({k: numpy.asarray(v) for k, v in flatten_dict(d, sep=".").items()}, '
        f"{converted(path)})"
    )
    return (
        f"{path} is a Flax checkpoint (msgpack), which stockpot does not read. This makes a "
        f"safetensors file of its arrays:{python_line(code)}"
    )


def _graph(path: Path) -> str:
    return (
        f"{path} is a graph of TensorFlow's (.pb), not weights: save the model's variables as a "
        "checkpoint or as Keras weights, and convert those."
    )


_FORMATS: tuple[tuple[Callable[[Path, bytes], bool], Callable[[Path], str]], ...] = (
    (lambda _, head: head.startswith(b"GGUF"), _gguf),
    (lambda _, head: head.startswith(b"\x89HDF"), _hdf5),
    (lambda _, head: head.startswith(b"\x93NUMPY"), _array),
    (lambda path, _: path.suffix == ".pb", _graph),
    (lambda path, head: path.suffix == ".onnx" or bool(_ONNX.match(head)), _onnx),
    (lambda path, head: path.suffix == ".msgpack" or bool(_MSGPACK.match(head)), _flax),
)
"""Whether a file is of a format, and what is said of it; the first that fits."""
