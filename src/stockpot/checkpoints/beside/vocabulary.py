"""Which tensors of a network have a row for each token, told by their names and shapes."""

import re
from collections.abc import Mapping

INPUT = re.compile(
    r"(.*\.)?(embed_tokens|wte|word_embeddings|shared|embed_in|tok_embeddings|token_embedding"
    r"|word_embedding)\.weight"
)
HEAD = re.compile(
    r"(.*\.)?(lm_head(\.decoder)?|embed_out|output_layer|predictions\.decoder|vocab_projector"
    r"|proj_out|output)\.weight"
)
OTHER_STACK = re.compile(r"(^|\.)(visual|vision\w*|audio\w*|image\w*)\.")
"""Stacks beside the language model, whose vocabularies are of something else."""

Shapes = Mapping[str, tuple[int, ...]]


def input_rows(shapes: Shapes) -> int | None:
    """Rows of the input embedding; None where there is none, or several that differ."""
    rows = {
        shape[0]
        for name, shape in shapes.items()
        if len(shape) == 2 and INPUT.fullmatch(name) and not OTHER_STACK.search(name)
    }
    return rows.pop() if len(rows) == 1 else None


def heads(shapes: Shapes) -> tuple[str, ...]:
    """The output heads that give each token a number."""
    rows = input_rows(shapes)
    return tuple(n for n, s in shapes.items() if HEAD.fullmatch(n) and s[:1] == (rows,))


def token_tensors(shapes: Shapes) -> tuple[str, ...]:
    """Input embeddings and output heads: tensors with a row for each token."""
    rows = input_rows(shapes)
    if rows is None:
        return ()
    own = [n for n, s in shapes.items() if INPUT.fullmatch(n) and s[:1] == (rows,)]
    return (*own, *heads(shapes))
