"""Does a configuration of transformers tie the output head to the input embedding?"""

import json
from pathlib import Path
from typing import cast

from .entry import Checkpoint

KEY = "tie_word_embeddings"
NESTED = ("text_config", "llm_config", "language_config", "decoder")
"""Where a network of several parts keeps the configuration of its language model."""
LARGEST = 2**24  # bytes


def says_tied(checkpoint: Checkpoint) -> bool | None:
    """What config.json says; None where there is none, or it is not one of transformers.

    It says so where the network's configuration does or that of its language model; and where no
    key is there at all, by the default of transformers. Whoever asks looks at the weights as well:
    networks whose own default is false store a head, and a head of its own is never a tied one.
    """
    if checkpoint.directory is None:
        return None
    config = _read(checkpoint.directory / "config.json")
    if "model_type" not in config and "architectures" not in config:
        return None
    parts = [config.get(key) for key in NESTED]
    known = [config, *(cast(dict[str, object], part) for part in parts if isinstance(part, dict))]
    values = [value for part in known if isinstance(value := part.get(KEY), bool)]
    return any(values) or not values


def _read(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > LARGEST:
            return {}
        config = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast(dict[str, object], config) if isinstance(config, dict) else {}
