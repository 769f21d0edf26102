"""Lines of Python that turn another format into one that stockpot reads."""

import json
import shlex
from pathlib import Path

SAVE = "from safetensors.numpy import save_file"


def python_line(code: str) -> str:
    """A command for the shell that runs the code, on a line of its own."""
    return f"\n  python -c {shlex.quote(code)}"


def quoted(path: Path) -> str:
    """A path as a string of Python's."""
    return json.dumps(str(path))


def converted(path: Path, suffix: str = ".safetensors") -> str:
    """Where the conversion of a file goes, as a string of Python's: beside it."""
    return quoted(path.with_name(path.name.removesuffix(path.suffix) + suffix))
