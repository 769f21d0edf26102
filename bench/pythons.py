"""The spine's tests with each other version of Python that is found, in an environment of its own.

    python -m bench.pythons --environments .venv

A version is found on PATH or in pyenv's folder. Its environment is made once for each state of
pyproject.toml and constraints.txt. Torch for it may be a download of 3 GB. A version that is not
found, or for which the libraries cannot be had, is named as not tried.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.12", "3.13")
SPINE = (
    "tests/test_core.py", "tests/test_fields.py", "tests/test_files.py", "tests/values",
    "tests/system", "tests/checkpoints/writing", "tests/checkpoints/test_sources.py",
    "tests/golden", "tests/engine/test_streaming.py", "tests/engine/test_resume.py",
)  # fmt: skip


def interpreter(version: str) -> str | None:
    """One of that version that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    known = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for path in filter(None, known):  # one of pyenv's on PATH may be there and lead nowhere
        if subprocess.run([path, "-c", "import venv"], capture_output=True).returncode == 0:
            return str(path)
    return None


def environment(python: str, home: Path) -> Path | None:
    """Its interpreter, with what the spine needs; None where that cannot be installed."""
    inside = home / "bin" / "python"
    state = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    mark = home / f".made-{hashlib.sha256(b''.join(state)).hexdigest()[:16]}"
    if not mark.exists():
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        needed = [*project["dependencies"], "pytest", "hypothesis"]
        if not _installed(inside, "-c", str(ROOT / "constraints.txt"), *needed):
            return None
        mark.touch()
    with tempfile.TemporaryDirectory() as folder:
        wheel = ["wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", folder, str(ROOT)]
        subprocess.run([sys.executable, "-m", "pip", *wheel], check=True)
        (package,) = Path(folder).iterdir()
        return (
            inside if _installed(inside, "--no-deps", "--force-reinstall", str(package)) else None
        )


def _installed(python: Path, *what: str) -> bool:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    return subprocess.run([*command, *what], check=False).returncode == 0


def tried(version: str, environments: Path) -> str:
    """What came of it, in a word or two."""
    python = interpreter(version)
    if python is None:
        return "not tried: no such interpreter was found"
    inside = environment(python, environments / f"python{version}")
    if inside is None:
        return "not tried: the libraries could not be installed"
    command = [str(inside), "-m", "pytest", "-q", "-m", "not full", *SPINE]
    return "passed" if subprocess.run(command, cwd=ROOT, check=False).returncode == 0 else "FAILED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv")
    parser.add_argument("--versions", nargs="*", default=VERSIONS)
    asked = parser.parse_args()
    words = {version: tried(version, asked.environments) for version in asked.versions}
    for version, word in words.items():
        print(f"Python {version}: {word}")
    return int("FAILED" in words.values())


if __name__ == "__main__":
    sys.exit(main())
