"""Does an output's configuration say what its tensors are, so that a library can load it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ...checkpoints.entry import Checkpoint
from ...checkpoints.untrusted import parse_json
from ...errors import CheckpointError

_TOKENS = re.compile(r"(.*\.)?(embed_tokens|wte|word_embeddings|embed_in)\.weight")


def structure_problems(directory: Path, written: Checkpoint) -> list[str]:
    """Where config.json is no configuration, or contradicts the shapes of the tensors.

    Args:
        directory: of the output.
        written: its tensors.
    """
    path = directory / "config.json"
    if not path.is_file():
        return []
    try:
        config = parse_json(path.read_bytes(), "config.json")
    except CheckpointError as error:
        return [str(error)]
    return _vocabulary(config, written)


def _vocabulary(config: Mapping[str, object], written: Checkpoint) -> list[str]:
    """Where no embedding of tokens has as many rows as the configuration has tokens."""
    text = config.get("text_config")
    within = cast(Mapping[str, object], text) if isinstance(text, dict) else config
    size = config.get("vocab_size", within.get("vocab_size"))
    rows = {name: e.shape[0] for name, e in written.entries.items() if _TOKENS.fullmatch(name)}
    if type(size) is not int or not rows or size in rows.values():
        return []
    name, count = next(iter(rows.items()))
    return [f"config.json says vocab_size {size}; '{name}' has {count} rows."]
