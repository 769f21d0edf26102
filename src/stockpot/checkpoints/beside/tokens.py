"""Which token each row of an embedding stands for, read from the files of a tokenizer.

Nothing of a tokenizer is run: its vocabulary is read from whichever file holds it.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import blake3

from ..formats.untrusted import as_mapping, parse_config, shown
from .config import read_object
from .files import SmallFiles
from .names import is_tokenizer
from .pieces import sentencepieces

SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model")
_SETTINGS = ("normalizer", "pre_tokenizer", "post_processor")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of one model.

    Attributes:
        source: the file that they were read from.
        rows: token -> row.
        special: those with a meaning of their own, such as the end of a turn.
        roles: such as eos_token -> the token that has it.
        settings: what else of the tokenizer decides how a text is split, by name.
    """

    source: str
    rows: Mapping[str, int]
    special: frozenset[str] = frozenset()
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Mapping[str, object] = field(default_factory=dict[str, object])


def vocabularies(models: Sequence[SmallFiles]) -> dict[str, Vocabulary]:
    """By model the tokens that are to be compared; none where all tokenizers are the same bytes.

    Equal files are read once, for a vocabulary of many tokens takes a second and much memory.
    """
    marks = {one.label: _mark(one) for one in models}
    if len(set(marks.values())) < 2:
        return {}
    read = dict[str, Vocabulary | None]()
    for one in models:
        if marks[one.label] not in read:
            read[marks[one.label]] = read_vocabulary(one)
    return {label: known for label, mark in marks.items() if (known := read[mark]) is not None}


def _mark(one: SmallFiles) -> str:
    """A digest of all files of a tokenizer."""
    hasher = blake3.blake3()
    for name in filter(is_tokenizer, one.sizes):
        hasher.update(f"{name}\0{one.sizes[name]}\0".encode())
        hasher.update(one.read(name))
    return hasher.hexdigest()


def read_vocabulary(one: SmallFiles) -> Vocabulary | None:
    """The tokens of a model; None where no file says them in a form that is known.

    Raises:
        CheckpointError: a file is not valid JSON.
    """
    try:
        for read in (_of_tokenizers, _of_json, _of_lines, _of_pieces, _of_tiktoken):
            found = read(one)
            if found is not None:
                source, rows, special, settings = found
                special |= _added(one, rows)
                return Vocabulary(source, rows, frozenset(special), _roles(one), settings)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        return None  # such as the vocabularies of several languages in one file
    return None


Found = tuple[str, dict[str, int], set[str], dict[str, object]]


def _of_tokenizers(one: SmallFiles) -> Found | None:
    """tokenizer.json, as the library tokenizers writes it."""
    name = "tokenizer.json"
    if name not in one or name in one.pointers:
        return None
    content = parse_config(one.read(name), f"{one.label}: {name}")
    said = as_mapping(content.get("model")) or {}
    vocab = said.get("vocab")
    settings: dict[str, object] = {key: content.get(key) for key in _SETTINGS}
    if (numbered := as_mapping(vocab)) is not None:
        rows = {token: _row(row) for token, row in numbered.items()}
    elif isinstance(vocab, list):
        pairs = cast(list[list[object]], vocab)
        rows = {str(pair[0]): row for row, pair in enumerate(pairs)}
        settings["scores"] = [pair[1] for pair in pairs]
    else:
        return None
    if isinstance(merges := said.get("merges"), list):
        settings["merges"] = [_merge(each) for each in cast(list[object], merges)]
    special = set[str]()
    for each in cast(list[Mapping[str, object]], content.get("added_tokens") or []):
        rows[str(each["content"])] = _row(each["id"])
        special.add(str(each["content"]))
    return name, rows, special, settings


def _of_json(one: SmallFiles) -> Found | None:
    """vocab.json, of GPT-2's kind; its merges lie in a file beside it."""
    for name in ("vocab.json", "encoder.json"):
        if (content := _read_rows(one, name)) is not None:
            merges = next((n for n in ("merges.txt", "vocab.bpe") if n in one), None)
            lines = _lines(one, merges) if merges else []
            kept = [tuple(line.split()) for line in lines if line and not line.startswith("#v")]
            return name, content, set(), {"merges": kept}
    return None


def _read_rows(one: SmallFiles, name: str) -> dict[str, int] | None:
    """A file that maps tokens to rows; None where there is none."""
    if name not in one or name in one.pointers:
        return None
    content = parse_config(one.read(name), f"{one.label}: {name}")
    return {token: _row(row) for token, row in content.items()}


def _of_lines(one: SmallFiles) -> Found | None:
    """vocab.txt, of BERT's kind: a token a line."""
    name = "vocab.txt"
    if name not in one or name in one.pointers:
        return None
    lines = _lines(one, name)
    return name, {token: row for row, token in enumerate(lines) if token}, set(), {}


def _of_pieces(one: SmallFiles) -> Found | None:
    name = next((n for n in PIECES if n in one and n not in one.pointers), None)
    pieces = None if name is None else sentencepieces(one.read(name))
    if name is None or pieces is None:
        return None
    return name, {piece: row for row, piece in enumerate(pieces)}, set(), {}


def _of_tiktoken(one: SmallFiles) -> Found | None:
    """Tokens in base 64, each with its row."""
    name = next((n for n in one.sizes if n.endswith(".tiktoken") and n not in one.pointers), None)
    if name is None:
        return None
    pairs = [line.split() for line in _lines(one, name) if line]
    if any(len(pair) != 2 for pair in pairs):
        return None
    rows = {base64.b64decode(token).decode("latin1"): int(row) for token, row in pairs}
    return name, rows, set(), {}


def _added(one: SmallFiles, rows: dict[str, int]) -> set[str]:
    """Tokens that were added to those of the vocabulary; they join `rows`."""
    special = set[str]()
    for token, row in (_read_rows(one, "added_tokens.json") or {}).items():
        rows[token] = row
        special.add(token)
    config = read_object(one, "tokenizer_config.json") or {}
    for row, said in (as_mapping(config.get("added_tokens_decoder")) or {}).items():
        token = str((as_mapping(said) or {})["content"])
        rows[token] = int(row)
        special.add(token)
    return special


def _roles(one: SmallFiles) -> dict[str, str]:
    """Which tokens begin and end a text."""
    found = dict[str, str]()
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for role, token in (read_object(one, name) or {}).items():
            text = (as_mapping(token) or {"content": token}).get("content")
            if role in SPECIAL and isinstance(text, str):
                found[role] = text
    return found


def _merge(pair: object) -> tuple[str, ...]:
    return tuple(pair.split(" ")) if isinstance(pair, str) else tuple(cast(list[str], pair))


def _lines(one: SmallFiles, name: str) -> list[str]:
    return one.read(name).decode(errors="replace").rstrip("\n").split("\n")


def _row(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{shown(value)} is no row")
    return value
