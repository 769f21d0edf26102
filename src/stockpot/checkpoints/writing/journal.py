"""What of an unfinished output is finished: one JSON line per tensor, appended as it is written.

The first line says what is being made (a fingerprint of recipe, inputs and layout) and in which
boot of the machine: within one boot everything written before a kill is in the page cache; after
a power cut the tensors' digests decide. Every line ends with a checksum of what it says, so that a
line that was cut or changed counts as not there.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

import blake3

from ... import system

_HEAD = {"fingerprint", "boot", "place"}
_OF_A_RECORD = {"name", "digest", "inputs", "report"}
_SUM, _PLACE = "sum", "place"


@dataclass(frozen=True, slots=True)
class Record:
    """One finished tensor: the digest of its bytes and of each input's bytes (None without)."""

    name: str
    digest: str | None
    inputs: tuple[str | None, ...] = ()
    report: Mapping[str, Any] | None = None


class Records(Mapping[str, Record]):
    """Records by name in a third of their memory; a report comes back as JSON has it."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._digests: dict[str, bytes | Record] = {}
        self._reports: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self.add(records)

    def add(self, records: Iterable[Record]) -> None:
        """Add some; the caller sees to it that others do not meanwhile."""
        for record in records:
            packed = _packed((record.digest, *record.inputs))
            self._digests[record.name] = record if packed is None else packed
            if record.report is not None:
                text = json.dumps(record.report)
                self._reports[record.name] = self._texts.setdefault(text, text)

    def __getitem__(self, name: str) -> Record:
        packed = self._digests[name]
        if isinstance(packed, Record):
            return packed
        digest, *inputs = _unpacked(packed)
        return Record(name, digest, tuple(inputs), self.report(name))

    def report(self, name: str) -> Mapping[str, Any] | None:
        """What is told of one, without its digests."""
        text = self._reports.get(name)
        return None if text is None else json.loads(text)

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)


def _packed(digests: Sequence[str | None]) -> bytes | None:
    """Digests as bytes, each marked whether it is known; None where one is no BLAKE3."""
    text = "".join(["00" if digest is None else f"01{digest}" for digest in digests])
    whole = all(digest is None or len(digest) == 64 for digest in digests)
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return None
    return packed if whole and packed.hex() == text else None


def _unpacked(packed: bytes) -> Iterator[str | None]:
    at = 0
    while at < len(packed):
        stop = at + (33 if packed[at] else 1)
        yield packed[at + 1 : stop].hex() or None
        at = stop


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier run left.

    Attributes:
        fingerprint: of what was being made.
        place: inode of the directory that the files are in; an exchange puts another one there.
        same_boot: whether the machine has not been started again since.
        records: of finished tensors.
    """

    fingerprint: str
    place: int
    same_boot: bool
    records: Mapping[str, Record]


def read_journal(path: Path) -> Past | None:
    """The journal at `path`, without lines that do not add up; None without a head that does."""
    if not path.is_file():
        return None
    lines = path.read_bytes().split(b"\n")[:-1]
    told = (_parsed(lines[0]) if lines else None) or {}
    fingerprint, boot, place = (told.get(key) for key in ("fingerprint", "boot", "place"))
    if told.keys() != _HEAD or not isinstance(fingerprint, str) or type(place) is not int:
        return None
    same = bool(boot) and boot == system.here.boot_id()
    records = [record for line in lines[1:] if (record := _record(line)) is not None]
    return Past(fingerprint, place, same, {record.name: record for record in records})


def _record(line: bytes) -> Record | None:
    told = _parsed(line) or {}
    if told.keys() != _OF_A_RECORD:
        return None
    name, digest, inputs, report = (told[k] for k in ("name", "digest", "inputs", "report"))
    if not isinstance(name, str) or not _is_text_or_none(digest) or not isinstance(inputs, list):
        return None
    digests = tuple(cast(list[object], inputs))
    if not _are_texts_or_none(digests) or not (report is None or isinstance(report, dict)):
        return None
    return Record(name, digest, digests, cast(dict[str, Any] | None, report))


def _is_text_or_none(value: object) -> TypeGuard[str | None]:
    return value is None or isinstance(value, str)


def _are_texts_or_none(values: tuple[object, ...]) -> TypeGuard[tuple[str | None, ...]]:
    return all(_is_text_or_none(value) for value in values)


def _parsed(line: bytes) -> dict[str, object] | None:
    """What a line says, without its checksum; None where the two do not fit."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    told = cast(dict[str, object], entry)
    checksum = told.pop(_SUM, None)
    return told if checksum == _checksum(told) else None


def _checksum(told: Mapping[str, object]) -> str:
    """Of all but the place, which is held against the directory itself: a wrong one never fits."""
    content = {key: value for key, value in told.items() if key != _PLACE}
    return _sum_of(json.dumps(content))


def _sum_of(text: str) -> str:
    return blake3.blake3(text.encode()).hexdigest(8)


def _line(told: Mapping[str, object]) -> bytes:
    return (json.dumps({**told, _SUM: _checksum(told)}) + "\n").encode()


def _line_of(record: Record) -> bytes:
    """As `_line` has it of what the record says, which is made JSON once."""
    text = json.dumps(
        {
            "name": record.name,
            "digest": record.digest,
            "inputs": record.inputs,
            "report": record.report,
        }
    )
    return f'{text[:-1]}, "{_SUM}": "{_sum_of(text)}"}}\n'.encode()


class Journal:
    """Appends records; safe to call from many threads, for each call is one write."""

    def __init__(self, path: Path, fingerprint: str, place: int, past: Iterable[Record]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | system.BINARY
        self._fd = os.open(path, flags, 0o644)
        head = {"fingerprint": fingerprint, "boot": system.here.boot_id(), _PLACE: place}
        self._write(_line(head))
        self.append(past)

    def append(self, records: Iterable[Record]) -> None:
        """Add a line per record."""
        self._write(b"".join(_line_of(record) for record in records))

    def _write(self, content: bytes) -> None:
        while content:  # where a disk fills up, the system writes a part without an error
            content = content[os.write(self._fd, content) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
