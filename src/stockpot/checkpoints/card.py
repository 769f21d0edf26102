"""The small files beside merged weights: configuration and tokenizer, and the model card."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch

from ..texts import visible

CONFIG_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".tiktoken", ".py", ".yaml", ".yml"}
"""What configurations and tokenizers are made of; weights and pictures are not among them."""
_NEVER = {"merge.json", "adapter_config.json", "trainer_state.json", "README.md"}
_LARGEST = 2**28


def config_files(directory: Path | None) -> Iterator[Path]:
    """Configuration and tokenizer files of a model directory, to be copied to the output."""
    if directory is None:
        return
    for path in sorted(directory.iterdir()):
        wanted = path.suffix in CONFIG_SUFFIXES and path.name not in _NEVER
        if (
            wanted
            and path.is_file()
            and not path.name.startswith(".")
            and not path.name.endswith((".index.json", ".merge.json"))
            and path.stat().st_size <= _LARGEST
        ):
            yield path


def config_with_dtype(path: Path, dtype: torch.dtype | None) -> str | None:
    """A config.json whose dtype says what is written; None where it says so, nothing, or cannot."""
    if dtype is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError):
        return None
    name = str(dtype).removeprefix("torch.")
    if not isinstance(config, dict):
        return None
    known = cast(dict[str, object], config)
    said = {key: name for key in ("torch_dtype", "dtype") if known.get(key, name) != name}
    return json.dumps(known | said, indent=2) + "\n" if said else None


def model_card(
    title: str, parents: Sequence[str], method: str, recipe_yaml: str, config: Mapping[str, object]
) -> str:
    """A model card with the hub's own metadata for merges.

    Args:
        title: the output's name.
        parents: the models and the base, as the user named them.
        method: how they were merged, as a value.
        recipe_yaml: the resolved recipe.
        config: the model's config.json, if any; transformers' are recognised by their keys.
    """
    front = [
        "---",
        "base_model:",
        *(f"- {_quoted(p)}" for p in dict.fromkeys(parents)),
    ]
    front += ["base_model_relation: merge"]
    if "architectures" in config or "model_type" in config:
        front += ["library_name: transformers"]
    front += ["tags:", "- merge", "- stockpot", "---"]
    listed = "\n".join(f"- {_code(parent)}" for parent in dict.fromkeys(parents))
    fence = "`" * max(3, 1 + _longest_ticks(recipe_yaml))
    return "\n".join(front) + (
        f"\n# {_text(title)}\n\nA merge made with stockpot: {_code(method)} of\n\n{listed}\n\n"
        f"The recipe, as resolved:\n\n{fence}yaml\n{recipe_yaml}{fence}\n\n"
        "`merge.json` holds the digests of every input and output tensor; "
        "`stockpot verify` checks them.\n"
    )


def _code(text: str) -> str:
    """A name as code on one line, whatever characters it has."""
    shown = visible(text, keep="")
    ticks = "`" * (1 + _longest_ticks(shown))
    space = " " if "`" in shown or shown != shown.strip() or not shown else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _text(text: str) -> str:
    """A name as text on one line: no link, image or tag comes of it."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|~&$:@])", r"\\\1", visible(text, keep=""))


def _longest_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar; what a YAML stream may not hold as it is becomes an escape."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain)
