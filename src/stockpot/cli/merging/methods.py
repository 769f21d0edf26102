"""`stockpot methods [NAME]`: what there is; what one method computes, needs, costs, cites."""

import inspect
from typing import Annotated, Any

from cyclopts import Parameter
from docstring_parser import parse

from ...core import Method
from ...methods import METHODS
from ...methods.catalogue import find_method, method_fields
from ...values.fields import field_specs, kebab_name
from ..command_line import told_by_the_command_line
from ..console import print_json, print_table, say
from ..flags import Json

Name = Annotated[str | None, Parameter(help="A method's name; without one, all are listed.")]


def methods(name: Name = None, /, *, json: Json = False) -> int:
    """List the merge methods, or explain one: formula, fields, needs, cost, source."""
    if name is None:
        listed = [_facts(cls) for cls in METHODS]
        if json:
            print_json({"methods": listed})
            return 0
        print_table("", ("method", "what it does"), [(m["name"], m["summary"]) for m in listed])
        say("\nstockpot methods NAME explains one; stockpot merge NAME --help lists its flags.")
        return 0
    with told_by_the_command_line():
        cls = find_method(name)
    facts = _facts(cls)
    if json:
        print_json(facts)
        return 0
    say(f"{facts['name']}\n")
    say(_without_attributes(inspect.cleandoc(cls.__doc__ or "")))
    say("")
    rows = [(f["name"], f["default"], f["legal"], f["effect"]) for f in facts["fields"]]
    if rows:
        print_table("Fields", ("field", "default", "legal values", "effect"), rows)
    return 0


def _facts(cls: type[Method]) -> dict[str, Any]:
    text = inspect.cleandoc(cls.__doc__ or "")
    effects = {p.arg_name: " ".join((p.description or "").split()) for p in parse(text).params}
    default, needs = cls(), cls().needs
    values = method_fields(default)
    return {
        "name": kebab_name(cls),
        "summary": text.split("\n")[0],
        "base": needs.base,
        "models": list(needs.models),
        "weights": needs.weights,
        "reach": needs.reach.name.lower(),
        "random": needs.random,
        "fields": [
            {
                "name": spec.name,
                "default": values[spec.name],
                "legal": spec.interval() + (" (or one per model)" if spec.per_model else ""),
                "effect": effects.get(spec.name, ""),
            }
            for spec in field_specs(cls)
        ],
        "documentation": text,
    }


def _without_attributes(text: str) -> str:
    """The docstring without its section of fields, which the table shows with their bounds."""
    head, marker, rest = text.partition("Attributes:\n")
    if not marker:
        return text
    kept = rest.split("\n\n", 1)
    return head + (kept[1] if len(kept) > 1 else "")
