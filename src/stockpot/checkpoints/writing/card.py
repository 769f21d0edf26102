"""The model card that is written beside merged weights."""

import json
import re
from collections.abc import Mapping, Sequence

from ...texts import visible


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
