"""Texts from csv files and from Hugging Face data sets."""

import json
import sys

import pytest
import torch

from stockpot.data import load, split
from stockpot.errors import ExtraError, StockpotError

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "fair", "very")


@pytest.fixture
def tokenizer(tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def write(path, rows, header="text,label"):
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return str(path)


def test_texts_are_ids_over_their_mask(tmp_path, tokenizer):
    rows = ['"very good, very fair",pos', "bad,neg", "good,pos"]
    spec = {"name": "csv-text", "path": write(tmp_path / "a.csv", rows), "max_length": 5}
    data = load(spec | {"tokenizer": str(tokenizer)}).train
    assert data.is_text
    assert data.inputs.shape == (3, 2, 5)
    assert data.inputs[1].tolist() == [[2, 5, 3, 0, 0], [1, 1, 1, 0, 0]]
    assert data.inputs[0, 0].tolist() == [2, 7, 4, 1, 3]
    assert data.classes == ("neg", "pos")
    assert data.labels.tolist() == [1, 0, 1]
    assert torch.equal(data.batch(torch.tensor([1])), data.inputs[[1]])


def test_official_files_and_other_columns(tmp_path, tokenizer):
    train = write(tmp_path / "a.csv", ["1,0,good", "2,1,bad", "3,2,fair"], "id,stars,review")
    test = write(tmp_path / "b.csv", ["4,2,very good"], "id,stars,review")
    spec = {"name": "csv-text", "path": train, "test": test, "text": "review", "label": "stars"}
    found = load(spec | {"tokenizer": str(tokenizer), "max_length": 8})
    assert found.train.classes == ("0", "1", "2")
    assert found.test.labels.tolist() == [2]
    write(tmp_path / "b.csv", ["4,7,very good"], "id,stars,review")
    with pytest.raises(StockpotError, match="'7' are not among"):
        load(spec | {"tokenizer": str(tokenizer)})


def test_equal_texts_stay_together_in_a_split(tmp_path, tokenizer):
    words = ("good", "bad", "fair", "very")
    rows = [f"{a} {b},{a}" for a in words for b in words for _ in range(2)]
    spec = {"name": "csv-text", "path": write(tmp_path / "a.csv", rows), "max_length": 4}
    splits = split(load(spec | {"tokenizer": str(tokenizer)}), selection=0.25, test=0.25)
    assert [len(part) for part in (splits.train, splits.selection, splits.test)] == [16, 8, 8]


def test_a_column_says_where_a_text_comes_from(tmp_path, tokenizer):
    train = write(tmp_path / "a.csv", ["good,a,shop", "bad,b,film"], "text,label,origin")
    test = write(tmp_path / "b.csv", ["fair,a,news", "good,a,film"], "text,label,origin")
    spec = {"name": "csv-text", "path": train, "test": test, "tokenizer": str(tokenizer)}
    found = load(spec | {"domain": "origin"})
    assert found.train.domains == found.test.domains == ("film", "news", "shop")
    assert found.train.domain.tolist() == [2, 0]
    assert found.test.domain.tolist() == [1, 0]
    assert load(spec).train.domains == ()
    with pytest.raises(StockpotError, match="no column 'where'"):
        load(spec | {"domain": "where"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"text,label\ngood", "has 1 cells in line 2; its header has 2"),
        (b"text,label\ngood,a,b", "has 3 cells"),
        (b"words,label\ngood,a", "no column 'text'"),
        (b'text,label\n"good,a', "is not csv at line"),
        (b"text,label\n\xff,a", "not text in UTF-8"),
        (b"text,label\n", "has no row"),
        (b"", "no column"),
        (b"text,label\n" + b"x" * 200_000 + b",a", "not csv at line 2"),
    ],
)
def test_another_file_is_refused(tmp_path, tokenizer, content, words):
    (tmp_path / "a.csv").write_bytes(content)
    spec = {"name": "csv-text", "path": str(tmp_path / "a.csv"), "tokenizer": str(tokenizer)}
    with pytest.raises(StockpotError, match=words):
        load(spec)


def test_what_is_not_there_is_named(tmp_path, tokenizer):
    path = write(tmp_path / "a.csv", ["good,a"])
    with pytest.raises(StockpotError, match=r"b\.csv is not there.* header"):
        load({"name": "csv-text", "path": str(tmp_path / "b.csv"), "tokenizer": str(tokenizer)})
    with pytest.raises(StockpotError, match=r"tokenizer folder .* is not there"):
        load({"name": "csv-text", "path": path, "tokenizer": str(tmp_path / "none")})
    (tmp_path / "empty").mkdir()
    with pytest.raises(StockpotError, match="holds no tokenizer"):
        load({"name": "csv-text", "path": path, "tokenizer": str(tmp_path / "empty")})


def test_without_transformers_the_message_names_the_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    path = write(tmp_path / "a.csv", ["good,a"])
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\[hf\]'"):
        load({"name": "csv-text", "path": path, "tokenizer": str(tmp_path)})


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path, tokenizer):
    config = tokenizer / "tokenizer_config.json"
    settings = json.loads(config.read_text())
    settings["pad_token"] = None
    config.write_text(json.dumps(settings))
    path = write(tmp_path / "a.csv", ["good,a"])
    with pytest.raises(StockpotError, match="no padding token"):
        load({"name": "csv-text", "path": path, "tokenizer": str(tokenizer)})


def test_texts_of_a_hugging_face_data_set(tmp_path, tokenizer):
    datasets = pytest.importorskip("datasets")
    table = {"sentence": ["good", "bad", "very bad"], "mood": ["+", "-", "-"]}
    datasets.Dataset.from_dict(table).save_to_disk(tmp_path / "saved")
    spec = {"name": "hugging-face", "path": str(tmp_path / "saved"), "label": "mood"}
    data = load(spec | {"text": "sentence", "tokenizer": str(tokenizer), "max_length": 4}).train
    assert data.inputs[2].tolist() == [[2, 7, 5, 3], [1, 1, 1, 1]]
    assert data.labels.tolist() == [0, 1, 1]
    with pytest.raises(StockpotError, match="go together"):
        load(spec | {"text": "sentence"})
