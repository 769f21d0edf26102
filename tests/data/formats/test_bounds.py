"""Archives and pictures that would take all memory are refused before they are unpacked."""

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stockpot.data.formats import bounds
from stockpot.data.formats.bounds import check_memory, check_unpacked
from stockpot.data.load import load
from stockpot.errors import StockpotError


def test_the_rule(tmp_path: Path) -> None:
    check_unpacked("mnist", tmp_path, 10, bounds.FREE)
    check_unpacked("mnist", tmp_path, bounds.FREE, 100 * bounds.FREE)
    with pytest.raises(StockpotError, match="more than 100 times as many"):
        check_unpacked("mnist", tmp_path, 10, bounds.FREE + 1)
    check_memory("mnist", 1000, (3, 32, 32))
    with pytest.raises(StockpotError, match="memory of this machine"):
        check_memory("mnist", 10**9, (3, 4096, 4096))


def test_a_bomb_of_gzip(tmp_path: Path) -> None:
    head = struct.pack(">4I", 0x803, 2**20, 28, 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(1000)))
    with pytest.raises(StockpotError, match=r"unpacks to 822,083,584 bytes from \d\d"):
        load({"name": "mnist", "path": str(tmp_path)})


def test_a_bomb_of_npz(tmp_path: Path) -> None:
    raw = io.BytesIO()
    np.lib.format.write_array(raw, np.zeros((2**17, 32, 32), np.uint8))
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", raw.getvalue())
    with pytest.raises(StockpotError, match="more than 100 times as many"):
        load({"name": "medmnist", "path": str(tmp_path / "m.npz")})


def png(width: int, height: int) -> bytes:
    """The start of a picture of any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(9000, 9000), (60_000, 60_000)])
def test_a_picture_of_too_many_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(png(*size))
    with pytest.raises(StockpotError, match=r"no image to read .*(pixels|exceeds limit)"):
        load({"name": "image-folder", "path": str(tmp_path), "size": 8})


def test_a_format_that_starts_programs_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "x.eps")
    (tmp_path / "a" / "x.eps").rename(tmp_path / "a" / "x.png")
    with pytest.raises(StockpotError, match="no image to read"):
        load({"name": "image-folder", "path": str(tmp_path), "size": 8})
