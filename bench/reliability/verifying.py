"""Harm of every kind to each file of an output: verify tells, in words."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from stockpot.engine.verify import verify
from stockpot.errors import OutputError

from .campaign import Tried
from .merging import CASES, Case, Count, inputs

ADDED = (
    "model-00009-of-00009.safetensors", "pytorch_model.bin", "adapter_model.safetensors",
    "adapter_config.json", "modeling.py", "generation_config.json", "chat_template.jinja",
    "sub/code.py", "sub/deep/weights.pt",
)  # fmt: skip


def verifying(work: Path, quick: bool) -> Iterator[Tried]:
    """What changes, goes missing or comes to an output does not pass as what was written."""
    models = inputs(work / "models")
    outputs = [_made(case, models, work / str(i)) for i, case in enumerate(CASES[:3])]
    yield _flipped(outputs, 97 if quick else 1)
    yield _otherwise(outputs)
    yield _added(outputs)


def _made(case: Case, models: list[str], folder: Path) -> Path:
    folder.mkdir()
    case.merge(models, folder)
    return folder / case.name


def _files(output: Path) -> list[Path]:
    sidecar = output.with_name(output.name + ".merge.json")
    return [output, sidecar] if output.is_file() else sorted(output.iterdir())


def _flipped(outputs: list[Path], step: int) -> Tried:
    count = Count()
    for file, output in ((file, one) for one in outputs for file in _files(one)):
        raw = file.read_bytes()
        for i in range(0, len(raw), step):
            file.write_bytes(raw[:i] + bytes([raw[i] ^ (1 << i % 8)]) + raw[i + 1 :])
            count.add(f"{file.name}, byte {i}", lambda o=output: _is_told(o))
        file.write_bytes(raw)
    promise = "verify tells of any bit that was changed in any file of an output"
    return Tried(promise, "one bit of each byte of each file", count.tried, count.held,
                 count.broken)  # fmt: skip


def _is_told(output: Path) -> str | None:
    try:
        return "verify says that it is as written" if verify(output).ok else None
    except OutputError:
        return None


HARMS: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "emptied": lambda file: file.write_bytes(b""),
    "cut": lambda file: os.truncate(file, file.stat().st_size - 1),
    "grown": lambda file: file.write_bytes(file.read_bytes() + b"\n"),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "a FIFO": lambda file: (file.unlink(), os.mkfifo(file)),
    "a dangling link": lambda file: (file.unlink(), file.symlink_to("nowhere")),
}


def _otherwise(outputs: list[Path]) -> Tried:
    count = Count()
    for output in outputs:
        for file in _files(output):
            raw = file.read_bytes()
            for words, harm in HARMS.items():
                harm(file)
                count.add(f"{file.name} {words}", lambda o=output: _is_told(o))
                shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
                file.write_bytes(raw)
            count.add(
                f"{file.name} put back", lambda o=output: str(verify(o).problems or "") or None
            )
    promise = "verify tells of any file that is gone, cut, grown or no file"
    return Tried(promise, ", ".join(HARMS), count.tried, count.held, count.broken)


def _added(outputs: list[Path]) -> Tried:
    count = Count()
    for output in outputs:
        for name in ADDED if output.is_dir() else ():
            file = output / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"{}")
            count.add(f"{name} added", lambda o=output, n=name: _names(o, n))
            file.unlink()
        shutil.rmtree(output / "sub", ignore_errors=True)
    promise = "verify names weights, code and configuration that came beside an output's own"
    return Tried(promise, "files that libraries load", count.tried, count.held, count.broken)


def _names(output: Path, name: str) -> str | None:
    problems = verify(output).problems
    return None if any(f"'{name}'" in text for text in problems) else str(problems)
