import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.errors import FieldError
from stockpot.recipes.reading.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("5GB", 5_000_000_000),
        ("5gb", 5_000_000_000),
        ("2GiB", 2**31),
        ("512 MiB", 512 * 2**20),
        ("1.5kB", 1500),
        ("10K", 10_000),
        ("3Ti", 3 * 2**40),
        ("17", 17),
        ("17B", 17),
        (4096, 4096),
        (" 1MB ", 10**6),
    ],
)
def test_sizes_are_decimal_or_binary(text: str | int, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GB",
        "5XB",
        "-1GB",
        "0",
        "0.0001kB",
        "1e9",
        "5GBB",
        "iB",
        "1 i",
        "٣GB",
        "9" * 40,
        "99999999TB",
        True,
    ],
)
def test_other_text_is_refused(text: str | int) -> None:
    with pytest.raises(FieldError, match="size"):
        parse_size(text)


@given(st.integers(1, 2**63 - 1))
def test_what_is_written_reads_back_exactly(count: int) -> None:
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(
    ("count", "text"),
    [(5 * 10**9, "5GB"), (2**31, "2GiB"), (1500, "1500"), (10**6, "1MB"), (1, "1")],
)
def test_the_largest_exact_unit_is_written(count: int, text: str) -> None:
    assert format_size(count) == text
