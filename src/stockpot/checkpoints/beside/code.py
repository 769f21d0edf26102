"""Python files that a model's configuration names, and what they import; never run here."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ..formats.untrusted import as_mapping
from .config import read_object
from .files import SmallFiles

CONFIGURATIONS = ("config.json", "preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("tokenizer_config.json",)
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+\.(\w+)(?:[ \t.]|$)|import[ \t]+\.(\w+))", re.MULTILINE)


def code_of(one: SmallFiles, configurations: Sequence[str]) -> tuple[str, ...]:
    """The files beside a model that its auto_map names, and those that these import, in order."""
    wanted = [name for file in configurations for name in _named(read_object(one, file) or {})]
    found = dict[str, None]()
    while wanted:
        name = wanted.pop(0)
        if name in one and name not in found:
            found[name] = None
            text = one.read(name).decode(errors="replace")
            wanted += [f"{a or b}.py" for a, b in _IMPORT.findall(text)]
    return tuple(found)


def _named(config: Mapping[str, object]) -> Iterator[str]:
    """Files of the auto_map's classes: `module.Class`, or several of them."""
    for value in (as_mapping(config.get("auto_map")) or {}).values():
        each = cast(Sequence[object], value) if isinstance(value, list) else [value]
        for name in each:
            if isinstance(name, str) and re.fullmatch(r"\w+(\.\w+)+", name):
                yield name.split(".")[0] + ".py"
