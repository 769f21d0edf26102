"""A PEFT adapter on disk: its factors by the names that PEFT gives them, and its configuration.

An adapter is no model: `stockpot.views.Adapted` adds it to one.
"""

from dataclasses import replace
from pathlib import Path

import blake3

from ..errors import CheckpointError
from .entry import Checkpoint
from .formats.untrusted import parse_config
from .read import read_file
from .source import FileSource

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
MAX_CONFIG = 10_000_000  # bytes


def is_adapter(path: str | Path) -> bool:
    """Whether a PEFT adapter stands there: its directory, or the file of its factors."""
    where = Path(path)
    try:
        if where.name in WEIGHTS:
            return where.is_file() and where.with_name(CONFIG).is_file()
        return (where / CONFIG).is_file() and any((where / name).is_file() for name in WEIGHTS)
    except (OSError, ValueError):
        return False


def read_adapter(path: str | Path) -> Checkpoint:
    """The factors of a PEFT adapter, with the text of its configuration in `metadata`.

    Raises:
        CheckpointError: there is none, or its files cannot be read.
    """
    if not is_adapter(path):
        raise CheckpointError(
            f"{path} is no PEFT adapter: expected a directory with {CONFIG} and {WEIGHTS[0]}."
        )
    where = Path(path)
    folder = where.parent if where.name in WEIGHTS else where
    file = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    factors = read_file(where if where.name in WEIGHTS else file, None)
    source = FileSource(folder / CONFIG)
    if source.size > MAX_CONFIG:
        raise CheckpointError(f"{source.path} has {source.size:,} bytes, too many for a config.")
    raw = source.read(0, source.size)
    parse_config(raw, str(source.path))
    return replace(
        factors,
        label=str(path),
        files=(*factors.files, source),
        metadata={**factors.metadata, CONFIG: raw.decode()},
        headers={**factors.headers, CONFIG: blake3.blake3(raw).hexdigest()},
    )
