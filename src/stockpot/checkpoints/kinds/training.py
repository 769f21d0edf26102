"""Files of training scripts whose pickle holds more than weights: what they are and what converts.

The pickle is searched for the keys under which scripts keep the weights; nothing of it is run.
"""

import re
import sys
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .lines import converted, python_line, quoted

KEYS = (
    "state_dict",
    "model_state_dict",
    "network_weights",
    "net",
    "model",
    "params_ema",
    "params",
    "weight",
    "module",
)
"""Keys of weights in the files of timm and MMEngine, nnU-Net, CIFAR recipes, Ultralytics and
Detectron2, BasicSR, voice conversion, DeepSpeed; where several stand there, the first one."""
INERT = re.compile(
    r"argparse\.Namespace|pathlib(\._local)?\.\w*Path|numpy\.(ndarray|dtype|dtypes\.\w+)"
    r"|numpy\._?core\.multiarray\.(scalar|_reconstruct)|(mmengine|mmcv|omegaconf)\.[\w.]+"
)
"""What training scripts put beside weights: arguments, paths, numbers, logs, configurations."""
_SEARCHED = 2**25  # bytes
_SAVED = "-weights.pt"
_TORCH = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""The number with which a torch file from before the zip format begins, as a pickle has it."""


def conversion(path: Path, named: Sequence[str]) -> str:
    """Sentences on a file whose pickle names more than torch loads by itself, and what to do.

    A line that runs the pickle is given only for what training scripts are known to save; nobody
    is told to run a pickle that names a function of Python's.

    Args:
        path: the file.
        named: the globals for which it was refused.
    """
    raw = _pickle(path)
    if all(INERT.fullmatch(name) for name in named):
        if raw.startswith(b"\x80") and _TORCH not in raw[:64] and not zipfile.is_zipfile(path):
            return _plain(path, _key(raw))
        what = "It is a training script's file, with more in it than tensors."
        code = _loaded(path, _item(_key(raw)))
        code += "; s = {k: v for k, v in s.items() if torch.is_tensor(v)}"
    elif all(_is_class_of_a_network(name) for name in named):
        what = "It is a pickled network, as Ultralytics (YOLO) and torch.save(model) write."
        code = _of_network(path, raw)
    else:
        return (
            "If you trust where it comes from, load it with torch yourself and save its state dict "
            "as safetensors."
        )
    return (
        f"{what} If you trust where it comes from, run its pickle and save its state dict alone:"
        f"{python_line(f'{code}; torch.save(s, {converted(path, _SAVED)})')}"
    )


def _plain(path: Path, key: str | None) -> str:
    code = (
        "import numpy, pathlib, pickle; from safetensors.numpy import save_file; "
        f"r = pathlib.Path({quoted(path)}).read_bytes(); "
        f's = pickle.loads(r, encoding="latin1"){_item(key)}; '
        "save_file({k: numpy.ascontiguousarray(v) for k, v in s.items() if hasattr(v, "
        f'"shape")}}, {converted(path)})'
    )
    return (
        "It is a plain pickle, such as Detectron2's .pkl. If you trust where it comes from, this "
        f"runs it and makes a safetensors file of its arrays:{python_line(code)}"
    )


def _is_class_of_a_network(name: str) -> bool:
    root = name.partition(".")[0]
    library = root in ("torch", "numpy") or root in sys.stdlib_module_names
    return name.startswith("torch.nn.") or not library


def _loaded(path: Path, item: str = "") -> str:
    load = f'torch.load({quoted(path)}, map_location="cpu", weights_only=False)'
    return f"import torch; s = {load}{item}"


def _of_network(path: Path, raw: bytes) -> str:
    begins_with_a_class = raw[2:3] == b"c" and not raw.startswith(b"ccollections", 2)
    if begins_with_a_class:
        return f"{_loaded(path)}; s = s.float().state_dict()"
    item = _item("model" if _holds(raw, "model") else _key(raw))
    chosen = f's = s{item} if s.get("ema") is None else s["ema"]'
    return f"{_loaded(path)}; {chosen}; s = s.float().state_dict()"


def _item(key: str | None) -> str:
    return "" if key is None else f'["{key}"]'


def _key(raw: bytes) -> str | None:
    return next((key for key in KEYS if _holds(raw, key)), None)


def _holds(raw: bytes, key: str) -> bool:
    """Whether the pickle has this string, in one of the ways in which pickles write strings."""
    text, size = key.encode(), len(key)
    ways = (b"X" + size.to_bytes(4, "little"), b"\x8c" + bytes([size]), b"U" + bytes([size]))
    return any(way + text in raw for way in ways)


def _pickle(path: Path) -> bytes:
    with suppress(Exception), zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        with archive.open(name) as member:
            return member.read(_SEARCHED)
    return _read(path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SEARCHED)
