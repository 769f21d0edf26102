"""The pickles of torch.save, scanned before torch reads them."""

from typing import Protocol

from .budget import LARGEST, Budget, CutOffError, PickleError, ProtocolError
from .scan import scan
from .shapes import Shape
from .torch_names import TorchNames

LEGACY_PICKLES = 5
"""A torch file from before the zip format begins with this many pickles, one after another: a magic
number, a version, the system, what was saved, and the keys of the storages that follow."""

HEAD = 2**16
"""Bytes of a legacy file that are looked at first; more where its pickles are longer."""


class Readable(Protocol):
    """A file, or a part of one."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """Some of them."""
        ...


def scan_record(raw: bytes) -> None:
    """Go through the pickle of a zip file.

    Raises:
        PickleError: it must not be read.
    """
    scan(raw, TorchNames(in_memory=False).dialect(), Budget(len(raw)))


def scan_legacy(source: Readable) -> None:
    """Go through the pickles at the start of a legacy file, and hold its storages against it.

    Raises:
        PickleError: they must not be read.
    """
    size = HEAD
    while True:
        head = source.read(0, min(size, source.size))
        try:
            return _scan_all(head, source.size)
        except CutOffError:
            if len(head) == source.size:
                raise
            if size >= LARGEST:
                raise PickleError(f"has more than {LARGEST:,} bytes") from None
        size *= 8


def _scan_all(head: bytes, size: int) -> None:
    names, budget = TorchNames(in_memory=True), Budget(len(head))
    at, keys, foreign = 0, None, None
    for _ in range(LEGACY_PICKLES):
        try:
            keys, at = scan(head, names.dialect(), budget, at)
        except ProtocolError as error:  # what it names says more, and may stand further on
            if error.end is None:
                raise
            foreign, at = error, error.end
    if foreign is not None:
        raise foreign
    stored = keys.inside if isinstance(keys, Shape) and keys.kind == "list" else []
    missing = len(names.keys.difference(key for key in stored if isinstance(key, str | int)))
    if missing or names.claimed > size - at:
        raise PickleError(
            f"claims more bytes than it has: {names.claimed:,} of {len(names.keys):,} storages, "
            f"{missing:,} of which are not in the file; {size - at:,} bytes follow"
        )
