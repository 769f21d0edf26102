"""What of an unfinished output is finished: one JSON line per tensor, appended as it is written.

The first line says what is being made (a fingerprint of recipe, inputs and layout) and in which
boot of the machine: within one boot everything written before a kill is in the page cache; after
a power cut the tensors' digests decide.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

_BOOT = Path("/proc/sys/kernel/random/boot_id")


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


def boot_id() -> str:
    """An identity of this boot of the machine; empty where the system has none."""
    return _BOOT.read_text().strip() if _BOOT.exists() else ""


def read_journal(path: Path) -> Past | None:
    """The journal at `path`, without a last line that was cut; None where there is none."""
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf8", errors="replace").split("\n")[:-1]
    parsed = [entry for line in lines if (entry := _parse(line)) is not None]
    if not parsed or "fingerprint" not in parsed[0]:
        return None
    boot = parsed[0].get("boot")
    records = [
        Record(r["name"], r["digest"], tuple(r["inputs"]), r["report"])
        for r in parsed[1:]
        if r.keys() == {"name", "digest", "inputs", "report"}
    ]
    same = bool(boot) and boot == boot_id()
    head = parsed[0]
    return Past(head["fingerprint"], head.get("place", 0), same, {r.name: r for r in records})


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return cast(dict[str, Any], entry) if isinstance(entry, dict) else None


class Journal:
    """Appends records; safe to call from many threads, for each call is one write."""

    def __init__(self, path: Path, fingerprint: str, place: int, past: Iterable[Record]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644)
        head = {"fingerprint": fingerprint, "place": place, "boot": boot_id()}
        os.write(self._fd, (json.dumps(head) + "\n").encode())
        self.append(past)

    def append(self, records: Iterable[Record]) -> None:
        """Add a line per record."""
        text = "".join(json.dumps(asdict(record)) + "\n" for record in records)
        os.write(self._fd, text.encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
