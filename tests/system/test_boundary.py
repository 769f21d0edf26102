"""What one system alone has is asked for in `stockpot.system`, and nowhere else."""

import ast
from pathlib import Path

import stockpot

HOME = Path(str(stockpot.__file__)).parent
OF_ONE_SYSTEM = {"fcntl", "resource", "ctypes", "msvcrt", "mmap", "pwd", "grp", "termios", "winreg"}
EVERYWHERE = {
    "DirEntry", "O_APPEND", "O_CREAT", "O_EXCL", "O_RDWR", "O_TRUNC", "O_WRONLY", "PathLike",
    "_exit", "close", "devnull", "dup2", "environ", "fdopen", "fsdecode", "fsencode", "fspath",
    "fstat", "fsync", "ftruncate", "getpid", "kill", "listdir", "open", "path", "pathsep",
    "scandir", "sep", "stat_result", "strerror", "utime", "walk", "write",
}  # fmt: skip
"""What of `os` is the same on Linux, macOS and Windows, as far as it is used."""


def test_nothing_else_asks_for_what_one_system_alone_has() -> None:
    wrong: list[str] = []
    for file in HOME.rglob("*.py"):
        if file.is_relative_to(HOME / "system"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
            asked: set[str] = set()
            if isinstance(node, ast.Import):
                asked = {alias.name for alias in node.names} & OF_ONE_SYSTEM
            elif isinstance(node, ast.ImportFrom) and not node.level:
                asked = {str(node.module)} & OF_ONE_SYSTEM
                asked |= {a.name for a in node.names if node.module == "os"} - EVERYWHERE
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                asked = {node.attr} - EVERYWHERE if node.value.id == "os" else set()
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                asked = {node.value} if node.value.startswith(("/proc/", "/sys/")) else set()
            wrong += [f"{file.relative_to(HOME)}: {name}" for name in asked]
    assert wrong == []
