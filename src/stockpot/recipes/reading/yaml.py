"""YAML as recipes are written in it: version 1.2 for numbers and booleans, and no surprises.

PyYAML follows YAML 1.1, where 1e-5 is a string, `on` is true and 1:30 is ninety; the core schema of
YAML 1.2 has none of that. The text is bounded in size, in depth and in what its aliases expand to;
duplicate keys, several documents and tags that build objects are refused.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, cast

import yaml
from yaml.error import Mark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ...errors import FieldError
from ...files import read_file

MOST_CHARACTERS = 2**18
MOST_NODES = 50_000
DEEPEST = 50
LONGEST_NUMBER = 300

_PREFIX = "tag:yaml.org,2002:"
_CORE = {  # tag -> pattern, and the characters it may begin with
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN",
        "-+.0123456789",
    ),
}
_PATTERNS = {tag: re.compile(rf"(?:{pattern})\Z") for tag, (pattern, _) in _CORE.items()}


class _Loader(yaml.SafeLoader):
    """Composes nodes under YAML 1.2's core schema, and counts them as if aliases were written out.

    Values are built from the nodes by `_build`; PyYAML's constructors are never called.
    """

    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - add_implicit_resolver fills it, below

    def __init__(self, text: str, origin: str) -> None:
        super().__init__(text)
        self.origin = origin
        self.depth = self.count = 0
        self.sizes: dict[int, int] = {}  # of finished nodes, by id

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = cast(yaml.Event, self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        mark, is_alias = event.start_mark, isinstance(event, yaml.AliasEvent)
        before = self.count
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(mark, f"nested deeper than {DEEPEST} levels.")
        node = super().compose_node(parent, index)
        if is_alias and id(node) not in self.sizes:
            self.refuse(mark, "an alias within what it stands for.")
        self.count += self.sizes[id(node)] if is_alias else 1
        if self.count > MOST_NODES:
            self.refuse(mark, f"more than {MOST_NODES} values, with aliases written out.")
        if not is_alias:
            self.sizes[id(node)] = self.count - before
        self.depth -= 1
        return node

    def refuse(self, mark: Mark, problem: str) -> NoReturn:
        raise FieldError(f"{self.origin}:{mark.line + 1}:{mark.column + 1}: {problem}")


class _Dumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or 1.2 would not read back as the same string; writes no aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(_: _Dumper, text: str) -> ScalarNode:
    """Escapes where a character cannot be seen: PyYAML leaves some line breaks in other quotes."""
    return ScalarNode(_PREFIX + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
for _tag, (_, _first) in _CORE.items():
    for _class in (_Loader, _Dumper):
        cast(Any, _class).add_implicit_resolver(_PREFIX + _tag, _PATTERNS[_tag], [*_first, ""])


def load_yaml(text: str, origin: str) -> object:
    """The one document in `text`: dicts, lists, strings, numbers, booleans and None.

    Args:
        text: YAML 1.2; JSON is a part of it.
        origin: the file it comes from; messages start with `origin:line:column:`.

    Raises:
        FieldError: it is not YAML, or is refused: a duplicate key, a tag, a second document, or
            too much of it.

    Example:
        >>> load_yaml("{rate: 1e-5, switch: on, mode: 0o17}", "recipe.yml")
        {'rate': 1e-05, 'switch': 'on', 'mode': 15}
    """
    if len(text) > MOST_CHARACTERS:
        raise FieldError(f"{origin}: longer than {MOST_CHARACTERS} characters.")
    try:
        loader = _Loader(text, origin)
        node = loader.get_single_node()
        return None if node is None else _build(loader, node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise FieldError(f"{origin}:{line}: a character that is not allowed in YAML.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise FieldError(f"{origin}{place}: {said}.") from None


def name_or_mapping(text: str, origin: str) -> str | dict[str, Any]:
    """A name as it is, or the YAML mapping that a text with a brace in front holds.

    Raises:
        FieldError: it begins with a brace and is no mapping.

    Example:
        >>> name_or_mapping("mlp", "--network"), name_or_mapping("{name: mlp}", "--network")
        ('mlp', {'name': 'mlp'})
    """
    if not text.lstrip().startswith("{"):
        return text
    found = load_yaml(text, origin)
    if not isinstance(found, dict):
        raise FieldError(f"{origin}: '{text[:80]}' is no mapping.")
    return cast(dict[str, Any], found)


def read_yaml(path: Path) -> object:
    """The one document in a file of UTF-8; see `load_yaml`.

    Raises:
        FieldError: the file cannot be read, or `load_yaml` refuses it.
    """
    try:
        return load_yaml(read_file(path, 4 * MOST_CHARACTERS).decode(), str(path))
    except OSError as error:
        raise FieldError(f"cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise FieldError(
            f"{path} is no YAML: not text in UTF-8, at byte {error.start}. A checkpoint is shown "
            "by `stockpot inspect`."
        ) from None


def dump_yaml(value: object) -> str:
    """Plain values as YAML that `load_yaml`, and readers of YAML 1.1 too, read back unchanged.

    Example:
        >>> print(dump_yaml({"method": "ties", "seed": 0, "note": "on"}), end="")
        method: ties
        seed: 0
        note: 'on'
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _build(loader: _Loader, node: Node) -> object:
    if isinstance(node, MappingNode):
        _check_tag(loader, node, ["map"])
        return _mapping(loader, cast(Iterable[tuple[Node, Node]], node.value))
    if isinstance(node, SequenceNode):
        _check_tag(loader, node, ["seq"])
        return [_build(loader, item) for item in cast(Iterable[Node], node.value)]
    return _scalar(loader, cast(ScalarNode, node))


def _mapping(loader: _Loader, pairs: Iterable[tuple[Node, Node]]) -> dict[object, object]:
    built: dict[object, object] = {}
    for key_node, value_node in pairs:
        if not isinstance(key_node, ScalarNode):
            loader.refuse(key_node.start_mark, "a key must be a single value.")
        key = _scalar(loader, key_node)
        if key in built:
            loader.refuse(key_node.start_mark, f"the key '{str(key)[:80]}' occurs twice.")
        built[key] = _build(loader, value_node)
    return built


def _scalar(loader: _Loader, node: ScalarNode) -> str | int | float | bool | None:
    kind, text = _check_tag(loader, node, ["str", *_CORE]), cast(str, node.value)
    if kind == "str":
        return text
    if len(text) > LONGEST_NUMBER:
        loader.refuse(node.start_mark, f"a number of more than {LONGEST_NUMBER} characters.")
    if not _PATTERNS[kind].match(text):
        loader.refuse(node.start_mark, f"'{text}' is no {kind}.")
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _check_tag(loader: _Loader, node: Node, allowed: Iterable[str]) -> str:
    tag = node.tag
    kind = tag.removeprefix(_PREFIX)
    if kind == tag or kind not in allowed:
        loader.refuse(node.start_mark, f"the tag '{tag[:80]}' is not allowed here.")
    return kind
