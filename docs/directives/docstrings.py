"""Docstrings of this project as reStructuredText: prose, formulas in a block, lists of attributes.

A docstring here is a summary, paragraphs, formulas laid out by hand, and sections such as `Args:`.
"""

import re

_SECTION = re.compile(
    r"(Attributes|Args|Returns|Raises|Yields|Needs|Cost|Memory|Deviations|Example|Source):(?:\s+|$)"
)
_LISTS = ("Attributes", "Args", "Raises")
_NAME = re.compile(r"(?P<names>[\w*.]+(?:, [\w*.]+)*): (?P<text>.*)", re.S)


def as_restructured_text(lines: list[str]) -> list[str]:
    """The lines of a docstring, for Sphinx."""
    written = list[str]()
    paragraphs = _paragraphs(lines)
    for place, paragraph in enumerate(paragraphs):
        following = paragraphs[place + 1] if place + 1 < len(paragraphs) else [""]
        for part in _split_at_sections(paragraph):
            written += [*_part(part, following), ""]
    return written


def _paragraphs(lines: list[str]) -> list[list[str]]:
    """Lines between empty ones; what is indented below a section belongs to it."""
    found = list[list[str]]()
    fresh = True
    for line in lines:
        if not line.strip():
            fresh = True
        elif fresh and not (found and line.startswith(" ") and _SECTION.match(found[-1][0])):
            found.append([line])
            fresh = False
        else:
            found[-1] += ([""] if fresh else []) + [line]
            fresh = False
    return found


def _split_at_sections(paragraph: list[str]) -> list[list[str]]:
    parts = [list[str]()]
    for line in paragraph:
        if _SECTION.match(line) and parts[-1]:
            parts.append([])
        parts[-1].append(line)
    return parts


def _part(lines: list[str], following: list[str]) -> list[str]:
    section = _SECTION.match(lines[0])
    if section:
        return _section(section[1], [lines[0][section.end() :], *lines[1:]])
    if any(">>>" in line for line in lines):
        return _block("pycon", lines)
    if _is_formula(lines, following):
        return _block("text", lines)
    return _prose(lines)


def _is_formula(lines: list[str], following: list[str]) -> bool:
    """What is indented, and what is no sentence and leads to nothing that is indented."""
    if lines[0].startswith(" "):
        return True
    return lines[-1][-1] not in ".:?" and not following[0].startswith(" ")


def _section(name: str, lines: list[str]) -> list[str]:
    body = _dedented(lines)
    if name == "Example":
        return [".. rubric:: Example", "", *_block("pycon", body)]
    if name not in _LISTS:
        return [f":{name}:", *(f"    {line}" for line in _prose(body))]
    title = "Arguments" if name == "Args" else name
    return [f":{title}:", *(f"    {line}" for item in _items(body) for line in item)]


def _items(lines: list[str]) -> list[list[str]]:
    """Each `name: what it is`, as a term and its definition."""
    entries = list[list[str]]()
    for line in lines:
        if entries and (not line.strip() or line.startswith(" ")):
            entries[-1].append(line.strip())
        else:
            entries.append([line])
    return [_item(" ".join(word for word in entry if word)) for entry in entries]


def _item(entry: str) -> list[str]:
    parts = _NAME.fullmatch(entry)
    if parts is None:
        return [_escaped(entry), ""]
    return [f"``{parts['names']}``", f"    {_escaped(parts['text'])}", ""]


def _prose(lines: list[str]) -> list[str]:
    return _escaped("\n".join(lines)).split("\n")


def _block(language: str, lines: list[str]) -> list[str]:
    return [f".. code-block:: {language}", "", *(f"    {line}" for line in _dedented(lines)), ""]


def _dedented(lines: list[str]) -> list[str]:
    """Without the margin that the lines share; a first line that stands behind a title has none."""
    first = [lines[0].strip()] if lines[0].strip() else []
    rest = lines[1:] if lines[0][:1] != " " else lines
    first = [] if rest is lines else first
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return first + [line[margin:] for line in rest]


def _escaped(text: str) -> str:
    """Code between single backticks as code, and nothing else read as markup."""
    code = re.sub(r"`([^`]+)`(?=(\w?))", lambda m: f"``{m[1]}``" + ("\\ " if m[2] else ""), text)
    pieces = re.split(r"(``[^`]+``(?:\\ )?)", code)
    return "".join(
        piece if piece.startswith("``") else re.sub(r"([*|\\`]|_\b|\b_)", r"\\\1", piece)
        for piece in pieces
    )
