"""The model card that is written beside merged weights."""

import json
from collections.abc import Mapping, Sequence


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
    listed = "\n".join(f"- `{parent}`" for parent in dict.fromkeys(parents))
    return "\n".join(front) + (
        f"\n# {title}\n\nA merge made with stockpot: `{method}` of\n\n{listed}\n\n"
        f"The recipe, as resolved:\n\n```yaml\n{recipe_yaml}```\n\n"
        "`merge.json` holds the digests of every input and output tensor; "
        "`stockpot verify` checks them.\n"
    )


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar; what a YAML stream may not hold as it is becomes an escape."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain)
