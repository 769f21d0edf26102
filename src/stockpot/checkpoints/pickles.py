"""What stands in a pickle, such as the global for which it was refused. Nothing of it is run."""

import pickletools
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..errors import CheckpointError
from .kinds.training import conversion
from .untrusted import listed, shown

LEGACY_PICKLES = 5
"""A torch file from before the zip format begins with this many pickles, one after another."""


def refusal(path: Path, zipped: bool, error: Exception) -> CheckpointError:
    """What torch's refusal to load a file with weights_only=True means to a user."""
    said = re.search(r"GLOBAL (\S+)", str(error))
    named = [said[1] if "." in said[1] else f"builtins.{said[1]}"] if said else []
    if not named and "nsupported" in str(error):
        named = _globals(path, zipped)
    if named:
        return CheckpointError(
            f"{path} is more than weights: its pickle names {listed(named)}, "
            f"which is refused, as loading it could run any code. {conversion(path, named)}"
        )
    if "Unsupported operand" in str(error):
        return CheckpointError(
            f"{path} is pickled with a protocol that torch does not read with weights_only=True: "
            "load it with torch yourself and save it as safetensors."
        )
    if "quantize" in str(error).lower():
        return CheckpointError(
            f"{path} holds quantised tensors: their numbers are codes, not weights. Call "
            "dequantize() on them first."
        )
    return CheckpointError(
        f"{path} cannot be read as weights: it is damaged, or torch.save did not write it "
        f"({type(error).__name__}: {shown(str(error), 120)}). Download or save it again."
    )


def after_pickles(path: Path) -> int:
    """The byte at which the storages of a legacy torch file begin."""
    try:
        with path.open("rb") as file:
            for _ in range(LEGACY_PICKLES):
                deque(pickletools.genops(file), maxlen=0)
            return file.tell()
    except Exception as error:
        raise refusal(path, False, error) from None


def _globals(path: Path, zipped: bool) -> list[str]:
    found: dict[str, None] = {}
    with suppress(Exception), path.open("rb") as file:  # where the pickles end, or are none
        if zipped:
            archive = zipfile.ZipFile(file)
            member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            for name in _named(archive.open(member)):
                found[name] = None
        else:
            for _ in range(LEGACY_PICKLES):
                for name in _named(file):
                    found[name] = None
    return [name for name in found if not name.startswith(("torch.", "collections."))]


def _named(pickle: IO[bytes]) -> Iterator[str]:
    """The globals of one pickle, of any protocol."""
    memo: dict[object, str] = {}
    strings: list[str] = []
    last = ""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(strings[-2:])
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = last
        elif "PUT" in opcode.name:
            memo[argument] = last
        else:
            last = memo.get(argument, "") if "GET" in opcode.name else argument
            last = last if isinstance(last, str) else ""
            strings = [*strings[-1:], last] if last else strings
