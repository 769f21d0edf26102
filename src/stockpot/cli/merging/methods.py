"""`stockpot methods [NAME]`: what there is; what one method computes, needs, costs, cites."""

import inspect
import re
from typing import Annotated, Any

from cyclopts import Parameter
from docstring_parser import parse

from ...core import Method, Needs
from ...errors import FieldError, StockpotError
from ...methods import METHODS
from ...methods.catalogue import find_method, with_defaults
from ...methods.own import declared, is_built_in
from ...values.family import default_fields, plain_field
from ...values.fields import field_specs, kebab_name
from ..command_line import told_by_the_command_line
from ..console import note, print_json, print_table, say
from ..flags import Json, Quiet

Name = Annotated[str | None, Parameter(help="A method's name; without one, all are listed.")]


def methods(name: Name = None, /, *, json: Json = False, quiet: Quiet = False) -> int:
    """List the merge methods, or explain one: formula, fields, needs, cost, source."""
    del quiet  # notes know it
    if name is None:
        return _list(json=json)
    with told_by_the_command_line():
        cls = find_method(name)
    facts = _facts(cls, name)
    if json:
        print_json(facts)
        return 0
    say(f"{facts['name']}\n")
    say(_joined(_without_attributes(inspect.cleandoc(cls.__doc__ or ""))))
    say("")
    rows = [(f["name"], f["default"], f["legal"], f["effect"]) for f in facts["fields"]]
    if rows:
        print_table("Fields", ("field", "default", "legal values", "effect"), rows)
        say("A field is a flag of `stockpot merge`, and a key beside `name` in a recipe.")
    return 0


def _list(*, json: bool) -> int:
    """Stockpot's own methods, and what installed packages declare."""
    listed, broken = [_facts(cls) for cls in METHODS], list[str]()
    for one in declared():
        try:
            if one.refused:
                raise FieldError(one.refused)
            listed.append(_facts(one.load(), one.name, one.package))
        except StockpotError as error:
            broken.append(str(error))
    if json:
        print_json({"methods": listed, "broken": broken})
        return 0
    if len(listed) == len(METHODS):
        print_table("", ("method", "what it does"), [(m["name"], m["summary"]) for m in listed])
    else:
        columns = ("method", "what it does", "from")
        print_table("", columns, [(m["name"], m["summary"], m["origin"]) for m in listed])
    for text in broken:
        note(text)
    say(
        "\nstockpot methods NAME explains one; stockpot merge NAME --help lists its flags. A NAME "
        "may also be your own: package.module:Class, or package.module:function."
    )
    return 0


def _facts(cls: type[Method], name: str = "", package: str = "stockpot") -> dict[str, Any]:
    text = inspect.cleandoc(cls.__doc__ or "")
    effects = {p.arg_name: " ".join((p.description or "").split()) for p in parse(text).params}
    method = with_defaults(cls)
    values = {key: plain_field(value) for key, value in default_fields(cls).items()}
    return {
        "name": name or kebab_name(cls),
        "summary": text.split("\n")[0],
        "origin": package if is_built_in(cls) or package != "stockpot" else cls.called(),
        **({} if method is None else _needs(method.needs)),
        "fields": [
            {
                "name": spec.name,
                "default": values.get(spec.name, "required"),
                "legal": spec.interval() + (" (or one per model)" if spec.per_model else ""),
                "effect": effects.get(spec.name, ""),
            }
            for spec in field_specs(cls)
        ],
        "documentation": text,
    }


def _needs(needs: Needs) -> dict[str, object]:
    return {
        "base": needs.base,
        "models": list(needs.models),
        "weights": needs.weights,
        "reach": needs.reach.name.lower(),
        "random": needs.random,
    }


def _joined(text: str) -> str:
    """Sections such as `Cost: ...` as one line each, for the terminal to break; code stays."""
    return re.sub(
        r"^[A-Z][a-z]+: .*(\n {4}\S.*)+",
        lambda section: re.sub(r"\n {4}", " ", section[0]),
        text,
        flags=re.MULTILINE,
    )


def _without_attributes(text: str) -> str:
    """The docstring without its section of fields, which the table shows with their bounds."""
    head, marker, rest = text.partition("Attributes:\n" if "Attributes:\n" in text else "Args:\n")
    if not marker:
        return text
    kept = rest.split("\n\n", 1)
    return head + (kept[1] if len(kept) > 1 else "")
