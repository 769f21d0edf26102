"""No circle stands inside a room: modules of one import one another in one direction only.

Imports inside functions count, for they hide a circle and do not undo it.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import stockpot

SOURCE = Path(stockpot.__file__).parent


def modules(source: Path) -> dict[str, Path]:
    """Every module but the `__init__` files, which hand on what others hold, by its dotted name."""
    return {
        ".".join((source.name, *path.relative_to(source).with_suffix("").parts)): path
        for path in source.rglob("*.py")
        if path.name != "__init__.py"
    }


def imported(name: str, text: str) -> Iterator[str]:
    """What a module may import, dotted: names of modules, and of what else they hold."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (origin, *(f"{origin}.{alias.name}" for alias in node.names))


def circle(texts: Mapping[str, str]) -> list[str]:
    """Modules that import one another in a circle; none where there is no circle."""
    graph = {
        name: {other for other in imported(name, text) if other in texts and other != name}
        for name, text in texts.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_stands_inside_a_room() -> None:
    texts = {name: path.read_text(encoding="utf8") for name, path in modules(SOURCE).items()}
    assert len(texts) > 300
    assert circle(texts) == []


@pytest.mark.parametrize(
    "inside",
    [
        "from .a import x",
        "from . import a",
        "from ..room.a import x",
        "def f():\n    from .a import x",
        "def f():\n    import pot.room.a",
    ],
)
def test_a_circle_is_seen_however_it_is_imported(inside: str) -> None:
    texts = {"pot.room.a": "from .b import y", "pot.room.b": "from .c import z"}
    assert circle({**texts, "pot.room.c": "import math"}) == []
    found = circle({**texts, "pot.room.c": inside})
    assert set(found) == {"pot.room.a", "pot.room.b", "pot.room.c"}
