"""pydantic's errors in plain words, each with its place in the recipe."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_MUST = {
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be one of {expected}",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
}


def in_plain_words(error: ValidationError, origin: str, what: str = "a recipe") -> str:
    """One line per problem: the origin, the place in `what`, what is wrong and what was found."""
    prefix = f"{origin}: " if origin else ""
    found = error.errors(include_url=False)
    return "\n".join(prefix + _sentence(details, what) for details in found)


def dotted(location: Sequence[str | int]) -> str:
    """A place in a recipe.

    Example:
        >>> dotted(("models", 1, "weight"))
        'models[1].weight'
    """
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")


def _sentence(details: ErrorDetails, what: str) -> str:
    place, kind = dotted(details["loc"]), details["type"]
    context: Mapping[str, object] = details.get("ctx", {})
    if kind == "value_error":  # words of our own
        text = str(context["error"])
        if not place:
            return text
        return f"{place} {text}" if text.startswith(("must ", "needs ")) else f"{place}: {text}"
    if kind == "missing":
        return f"{place} is required."
    must = _MUST.get(kind, details["msg"]).format_map(context).replace(" or '", ", '")
    return f"{place or what} {must}; got {_found(details['input'])}."


def _found(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
