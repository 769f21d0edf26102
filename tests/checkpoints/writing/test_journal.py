import json
import threading
from pathlib import Path

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot import system
from stockpot.checkpoints.writing.journal import Journal, Record, read_journal
from stockpot.system import linux

RECORDS = [
    Record("a", "0" * 64, ("1" * 64, None)),
    Record('w"\n😀', None, (), {"threshold": [0.1, 1e-300], "kept": [3]}),
    Record("c", "2" * 64, ("3" * 64,), {}),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def write(path: Path, records: list[Record], past: list[Record] | None = None) -> None:
    opened = Journal(path, "print", 17, past or [])
    for record in records:
        opened.append([record])
    opened.close()


def test_what_is_written_is_read_back(path: Path) -> None:
    write(path, RECORDS[1:], past=RECORDS[:1])
    past = read_journal(path)
    assert past is not None
    assert (past.fingerprint, past.place) == ("print", 17)
    assert list(past.records.values()) == RECORDS
    assert past.same_boot == bool(system.here.boot_id())


def test_there_is_none(path: Path) -> None:
    assert read_journal(path) is None


def test_another_boot_is_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, RECORDS)
    monkeypatch.setattr(system.here, "boot_id", lambda: "another")
    past = read_journal(path)
    assert past is not None
    assert not past.same_boot


def test_a_system_without_a_boot_identity_trusts_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linux, "_BOOT", path.with_name("none"))
    write(path, RECORDS)
    past = read_journal(path)
    assert past is not None
    assert not past.same_boot


def test_a_journal_cut_anywhere_gives_the_records_before_the_cut(path: Path) -> None:
    write(path, RECORDS)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        past = read_journal(path)
        lines = sum(end <= cut for end in ends)
        if lines == 0:
            assert past is None
        else:
            assert past is not None
            assert list(past.records.values()) == RECORDS[: lines - 1]


@given(st.binary(max_size=200))
def test_any_bytes_are_no_crash(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.write_bytes(rubbish)
    assert read_journal(path) is None
    write(path, RECORDS[:1])
    path.write_bytes(path.read_bytes() + rubbish.replace(b"\n", b"") + b"\n")
    past = read_journal(path)
    assert past is not None
    assert list(past.records) == ["a"]


def test_lines_of_other_kinds_are_passed_over(path: Path) -> None:
    write(path, RECORDS[:1])
    lines = ["3", "null", "[]", '{"name": "x"}', json.dumps({"name": "y", "digest": "", "more": 1})]
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    past = read_journal(path)
    assert past is not None
    assert list(past.records) == ["a"]


def test_many_threads_append_whole_lines(path: Path) -> None:
    opened = Journal(path, "print", 17, [])

    def append(k: int) -> None:
        for i in range(50):
            opened.append([Record(f"{k}.{i}.{j}", "d" * 64, ("e" * 64,) * 3) for j in range(5)])

    threads = [threading.Thread(target=append, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened.close()
    past = read_journal(path)
    assert past is not None
    assert len(past.records) == 4 * 50 * 5


def test_a_new_journal_replaces_the_old(path: Path) -> None:
    write(path, RECORDS)
    write(path, [])
    past = read_journal(path)
    assert past is not None
    assert past.records == {}


def test_every_line_carries_the_digest_of_what_it_says(path: Path) -> None:
    """Pinned: a later version has to read what this one has left."""
    Journal(path, "f", 1, [Record("wé", "0" * 64, (None, "1" * 64), {"n": 1.5})])
    told = json.loads(path.read_bytes().split(b"\n")[1])
    checksum = told.pop("sum")
    assert list(told) == ["name", "digest", "inputs", "report"]
    assert checksum == blake3.blake3(json.dumps(told).encode()).hexdigest(8)
    past = read_journal(path)
    assert past is not None
    assert past.records["wé"].report == {"n": 1.5}
