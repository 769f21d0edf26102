"""What is written beside the weights agrees with them, and with itself.

A configuration is one model's, while the tensors are several models': rows of the vocabulary, tied
heads, classes and dtypes are made to say what was written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch

from .ties import KEY as TIES
from .ties import ties_embeddings
from .vocabulary import Shapes, heads, input_rows, token_tensors

DTYPE_KEYS = ("torch_dtype", "dtype")
_WITH_HEAD = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the weights of an output are.

    Attributes:
        shapes: by name.
        dtype: the floating dtype of most elements; None where there is none.
        tied: tensors that are written as equal to an earlier one.
        untied: heads that some of the models tie, and the output has as tensors of their own.
    """

    shapes: Shapes
    dtype: torch.dtype | None = None
    tied: frozenset[str] = frozenset()
    untied: frozenset[str] = frozenset()


def agreeing(
    config: Mapping[str, object],
    of: Shapes,
    written: Written,
    others: Mapping[str, tuple[Mapping[str, object], Shapes]],
) -> tuple[dict[str, object], tuple[str, ...]]:
    """A configuration that says what was written, and notes on what was changed.

    Args:
        config: of the model that gives it.
        of: that model's tensors; none where it is no part of the merge.
        written: the output.
        others: the configurations and tensors of all models, by what they are called.
    """
    made, notes = dict(config), list[str]()
    if written.dtype is not None:
        made = with_dtype(made, str(written.dtype).removeprefix("torch."))
    old, new = input_rows(of), input_rows(written.shapes)
    if old is not None and new is not None and old != new:
        made = _with_rows(made, old, new)
    if old is not None and new is not None and new < old:
        made, lost = within_rows(made, new)
        notes += [f"config.json: {said} was left out, it has no row." for said in lost]
    apart = any(ties_embeddings(there) is False for there, _ in others.values())
    untied = bool(written.untied) or apart
    if (ties := _ties(made, of, written, untied)) is not None:
        made[TIES] = ties
        how = "is the embedding" if ties else "is a tensor of its own"
        notes.append(f"config.json: {TIES} was set to {str(ties).lower()}: the head {how}.")
    for label, (there, shapes) in others.items():
        same = shapes.keys() == written.shapes.keys() != of.keys()
        classes = there.get("architectures")
        if same and of and classes and classes != made.get("architectures"):
            made["architectures"] = classes
            notes.append(f"config.json: architectures are those of {label}, whose tensors it has.")
            break
    return made, tuple(notes)


def with_dtype(config: Mapping[str, object], name: str) -> dict[str, object]:
    """A configuration in which it and every network inside it say a dtype, where they say one."""

    def changed(part: Mapping[str, object]) -> dict[str, object]:
        said = {key: name for key in DTYPE_KEYS if key in part}
        return {**part, **said}

    return _everywhere(config, changed)


def _with_rows(config: Mapping[str, object], old: int, new: int) -> dict[str, object]:
    def changed(part: Mapping[str, object]) -> dict[str, object]:
        return {k: new if k == "vocab_size" and v == old else v for k, v in part.items()}

    return _everywhere(config, changed)


def _everywhere(
    config: Mapping[str, object], change: Callable[[Mapping[str, object]], dict[str, object]]
) -> dict[str, object]:
    """With what `change` makes of it and of every network inside it."""
    return {
        key: _everywhere(cast(Mapping[str, object], value), change)
        if isinstance(value, Mapping)
        and (key.endswith("_config") or key in ("encoder", "decoder", "generator"))
        else value
        for key, value in change(config).items()
    }


def within_rows(
    config: Mapping[str, object], rows: int
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Without the ids of tokens that have no row, and which those were."""
    made, lost = dict[str, object](), list[str]()
    for key, value in config.items():
        made[key] = value
        if not key.endswith(("token_id", "suppress_tokens")):
            continue
        if isinstance(value, int) and value >= rows:
            made[key] = None
            lost.append(f"{key} {value}")
        elif isinstance(value, list):
            ids = cast(list[object], value)
            kept = [one for one in ids if not (isinstance(one, int) and one >= rows)]
            if len(kept) < len(ids):
                made[key] = kept or None
                lost += [f"{key} {one}" for one in ids if one not in kept]
    return made, tuple(lost)


def _ties(config: Mapping[str, object], of: Shapes, written: Written, untied: bool) -> bool | None:
    """What the configuration should say of tied heads; None where it says so.

    A head that is stored though every model ties it is left to the library, which ties it.
    """
    said, there, before = ties_embeddings(config), heads(written.shapes), heads(of)
    if said is None or not of or input_rows(written.shapes) is None:
        return None
    if before and not there and not said:
        return True
    own = [name for name in there if name not in written.tied]
    return False if own and said and untied else None


def disagreements(config: Mapping[str, object], written: Written) -> Iterator[str]:
    """Where a configuration and the tensors beside it cannot be of one network."""
    classes = config.get("architectures")
    first = cast(list[object], classes)[0] if isinstance(classes, list) and classes else ""
    rows = input_rows(written.shapes)
    if rows is None or (first and not str(first).endswith(_WITH_HEAD)):
        return
    inner = config.get("text_config")
    text = cast(Mapping[str, object], inner) if isinstance(inner, dict) else config
    size = config.get("vocab_size", text.get("vocab_size"))
    if type(size) is int and size != rows:
        name = token_tensors(written.shapes)[0]
        yield f"config.json says vocab_size {size}; '{name}' has {rows} rows."
    alone = len(token_tensors(written.shapes)) == 1
    others = [s for s in written.shapes.values() if s[:1] == (rows,)]
    if config.get(TIES) is False and alone and len(others) == 1:
        yield "config.json says that the head is not tied to the embedding, and there is no head."
