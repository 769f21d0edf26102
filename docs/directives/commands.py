"""`{every-command}`: the command line as its own help tells it."""

import re

from sphinx.util.docutils import SphinxDirective

from stockpot.cli.app import COMMANDS, program

_STARTED = re.compile(r"(?<=[a-z]) -m sphinx\b")
"""Usage lines repeat how this program, which is Sphinx, was started."""
_CONTENTS = re.compile(r"^#+ Table of Contents\n.*?(?=^\*\*|^#)", re.M | re.S)
_LISTED = re.compile(r"^\*\*Commands\*\*:\n.*?(?=^\*\*|^#|\Z)", re.M | re.S)
_COMMAND = re.compile(r"(?=^#+ )", re.M)
_PANEL = re.compile(r"(?=^\*\*[^*\n]+\*\*:\n)", re.M)


class EveryCommand(SphinxDirective):
    """Documents each command, in the groups of `stockpot --help`."""

    def run(self):
        """A section for each group, in it one for each command."""
        return self.parse_text_to_nodes(
            "\n".join(text_of_group(g) for g in groups()), allow_section_headings=True
        )


def groups() -> list[str]:
    """The groups that help shows, in its order."""
    return list(dict.fromkeys(command.group.name for command in COMMANDS))


def text_of_group(group: str) -> str:
    """MyST: the group's commands with their flags."""
    names = [command.name for command in COMMANDS if command.group.name == group]
    return "\n".join([f"## {group}", "", *(text_of_command(name) for name in names)])


def text_of_command(name: str) -> str:
    """MyST: a command and what is below it; panels of flags that all have alike stand once."""
    text = program(name)[name].generate_docs(heading_level=3, usage_name=f"stockpot {name}")
    text = _STARTED.sub("", text).replace(" *[default: ()]*", "")
    text = _LISTED.sub("", _CONTENTS.sub("", text))
    first, *others = [part for part in _COMMAND.split(text) if part.strip()]
    seen = set[str]()
    return "\n".join([_headed(first), *(_headed(_shortened(part, seen)) for part in others)])


def _headed(part: str) -> str:
    heading, _, rest = part.partition("\n")
    level, _, words = heading.partition(" ")
    level = level[: 4 if " " in words.strip() else 3]
    words = words if words.startswith("stockpot") else f"stockpot {words}"
    return f"{level} `{words}`\n{rest}"


def _shortened(part: str, seen: set[str]) -> str:
    head, *panels = _PANEL.split(part)
    kept = [panel for panel in panels if panel.strip() not in seen]
    left = [panel.split("**")[1] for panel in panels if panel.strip() in seen]
    seen.update(panel.strip() for panel in panels)
    note = f"Flags as above: {', '.join(left)}.\n\n" if left else ""
    return head + "".join(kept).rstrip("\n") + "\n\n" + note
