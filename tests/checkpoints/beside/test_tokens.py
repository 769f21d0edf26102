"""Which token each row stands for, and whether two tokenizers mean the same by a row."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.beside.files import survey
from stockpot.checkpoints.beside.pieces import sentencepieces
from stockpot.checkpoints.beside.rows import clash, clashes, differences
from stockpot.checkpoints.beside.tokens import Vocabulary, read_vocabulary, vocabularies

WORDS = ["<unk>", "a", "b", "</s>"]


def vocabulary(words: list[str], source: str = "tokenizer.json", **more: Any) -> Vocabulary:
    return Vocabulary(source, {word: row for row, word in enumerate(words)}, **more)


def spm(words: list[str]) -> bytes:
    """A SentencePiece model of these pieces, each with a score and a kind, and one field more."""
    raw = b""
    for word in words:
        text = word.encode()
        piece = b"\x0a" + bytes([len(text)]) + text + b"\x15\0\0\x80\xbf" + b"\x18\x01"
        raw += b"\x0a" + bytes([len(piece)]) + piece
    return raw + b"\x12\x02\x18\x07"


def tiktoken(words: list[str]) -> str:
    each = (f"{base64.b64encode(w.encode()).decode()} {row}" for row, w in enumerate(words))
    return "\n".join(each) + "\n"


def read(folder: Path, **contents: str | bytes) -> Vocabulary | None:
    for name, content in contents.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_vocabulary(survey(folder, "m"))


ROWS = {word: row for row, word in enumerate(WORDS)}
FORMS: dict[str, str | bytes] = {
    "tokenizer__json": json.dumps({"model": {"type": "BPE", "vocab": ROWS, "merges": ["a b"]}}),
    "vocab__json": json.dumps(ROWS),
    "vocab__txt": "\n".join(WORDS) + "\n",
    "spiece__model": spm(WORDS),
    "qwen__tiktoken": tiktoken(WORDS),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_vocabulary_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, **{name: FORMS[name]})
    assert found is not None
    assert found.rows == ROWS
    assert found.source == name.replace("__", ".")


def test_unigrams_and_added_tokens(tmp_path: Path) -> None:
    model = {"type": "Unigram", "vocab": [[word, -1.0] for word in WORDS]}
    content = {"model": model, "added_tokens": [{"id": 4, "content": "<|im_end|>"}]}
    config = {
        "eos_token": {"content": "<|im_end|>"},
        "bos_token": "</s>",
        "pad_token": None,
        "added_tokens_decoder": {"5": {"content": "<tool>"}},
    }
    found = read(
        tmp_path,
        tokenizer__json=json.dumps(content),
        tokenizer_config__json=json.dumps(config),
        added_tokens__json='{"<x>": 6}',
    )
    assert found is not None
    assert found.rows == ROWS | {"<|im_end|>": 4, "<tool>": 5, "<x>": 6}
    assert found.special == {"<|im_end|>", "<tool>", "<x>"}
    assert found.roles == {"eos_token": "<|im_end|>", "bos_token": "</s>"}
    assert found.settings["scores"] == [-1.0] * 4


def test_pairs_of_merges_are_one_in_both_spellings(tmp_path: Path) -> None:
    found = []
    for name, merges in (("old", ["a b"]), ("new", [["a", "b"]])):
        (tmp_path / name).mkdir()
        content = {"model": {"vocab": ROWS, "merges": merges}}
        found.append(read(tmp_path / name, tokenizer__json=json.dumps(content)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer__json", "{}"),
        ("vocab__json", '{"eng": {"a": 1}}'),
        ("vocab__json", '{"a": true}'),
        ("tokenizer__json", '{"model": {"vocab": [1, 2]}}'),
        ("x__tiktoken", "a b c\n"),
        ("x__tiktoken", "!!! x\n"),
        ("spiece__model", b"\x0a\xff\xff\xff"),
        ("spiece__model", b""),
        ("README__md", ""),
    ],
)
def test_what_is_not_known_tells_nothing(name: str, content: str | bytes, tmp_path: Path) -> None:
    assert read(tmp_path, **{name: content}) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reading_of_pieces(raw: bytes) -> None:
    found = sentencepieces(raw)
    assert found is None or all(isinstance(piece, str) for piece in found)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1))
def test_pieces_come_back(words: list[str]) -> None:
    assert sentencepieces(spm(words)) == words


def clashed(one: list[str], other: list[str], rows: int | None = None) -> str | None:
    found = clash(("x", vocabulary(one)), ("y", vocabulary(other)), rows)
    back = clash(("y", vocabulary(other)), ("x", vocabulary(one)), rows)
    assert (found is None) == (back is None)
    return None if found is None else str(found)


def test_tokens_in_other_rows_clash() -> None:
    assert clashed(WORDS, WORDS) is None
    text = clashed(WORDS, ["<unk>", "b", "a", "</s>"])
    assert text == "'a' is row 1 in x and row 2 in y; 2 of the 4 rows that both name"
    assert clashed(WORDS, ["<unk>", "a", "c", "</s>"]) == "row 2 is 'b' in x and 'c' in y"


def test_tokens_at_the_end_and_names_for_free_rows_do_not_clash() -> None:
    assert clashed(WORDS, [*WORDS, "<|im_start|>"]) is None
    assert clashed([*WORDS, "<|reserved_5|>"], [*WORDS, "<|im_start|>"]) is None
    assert clashed([*WORDS, "[unused3]"], [*WORDS, "<tool>"]) is None
    assert clashed([*WORDS, "<tool>"], [*WORDS, "<|im_start|>"]) is not None


def test_only_rows_that_the_embedding_has_are_looked_at() -> None:
    one, other = [*WORDS, "p", "q"], [*WORDS, "q", "p"]
    assert clashed(one, other) is not None
    assert clashed(one, other, rows=4) is None
    assert clashed(one, other, rows=6) is not None


@given(st.permutations(["a", "b", "c", "d", "e"]))
def test_any_other_order_clashes(order: list[str]) -> None:
    words = ["a", "b", "c", "d", "e"]
    moved = sum(one != other for one, other in zip(words, order, strict=True))
    found = clash(("x", vocabulary(words)), ("y", vocabulary(order)), None)
    assert (0 if found is None else found.count) == moved


def test_tokens_that_are_spelled_in_other_ways_are_not_compared() -> None:
    bytewise = vocabulary(["x", "y"], "a.tiktoken")
    shifted = vocabulary(["y", "x"], "sentencepiece.bpe.model")
    models = [("a", vocabulary(WORDS)), ("b", bytewise), ("c", shifted)]
    assert list(clashes(models, None)) == []
    assert "cannot be compared" in next(iter(differences(models)))
    same = [("a", shifted), ("b", vocabulary(["x", "y"], "sentencepiece.bpe.model"))]
    assert len(list(clashes(same, None))) == 1


def test_what_else_differs_is_told() -> None:
    one = vocabulary(WORDS, roles={"eos_token": "</s>"}, settings={"merges": [("a", "b")]})
    other = vocabulary([*WORDS, "<e>"], roles={"eos_token": "<e>"}, settings={"merges": []})
    assert list(differences([("x", one), ("y", other)])) == [
        "'<e>' only in y",
        "eos_token is '</s>' in x and '<e>' in y",
        "x and y split texts in different ways (merges)",
    ]
    assert list(differences([("x", one), ("y", one)])) == []


def test_equal_files_are_read_once_and_alone_not_at_all(tmp_path: Path) -> None:
    models = []
    for name, words in (("a", WORDS), ("b", WORDS), ("c", [*WORDS, "<e>"])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.txt").write_text("\n".join(words))
        models.append(survey(tmp_path / name, name))
    assert vocabularies(models[:2]) == {}
    found = vocabularies(models)
    assert list(found) == ["a", "b", "c"]
    assert found["a"] is found["b"]
    assert list(differences(list(found.items()))) == ["'<e>' only in c"]
