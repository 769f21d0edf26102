"""A try in a process of its own: within a time and a memory, or the promise is broken."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stockpot.errors import StockpotError

SECONDS = 60
MEMORY = 800 * 2**20
"""Bytes beyond what this process has when it forks."""

BATCH = 50
"""Tries of one process; a new one makes what the last took its own again."""


def broken_in(tries: list[tuple[str, Callable[[], object]]]) -> list[str]:
    """The tries that end in anything but a result or a StockpotError, or that take too much.

    Args:
        tries: what each is called, and what it does.
    """
    broken: list[str] = []
    while tries:
        done, why = _child(tries[:BATCH])
        if why:
            broken.append(f"{tries[min(done, len(tries) - 1)][0]}: {why}")
            done += 1
        tries = tries[done:]
    return broken


def _child(tries: list[tuple[str, Callable[[], object]]]) -> tuple[int, str]:
    """How many went well, and what became of the next."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reads)
            code = _run(tries, writes)
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        lines = told.read().decode(errors="replace").splitlines()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    good = lines.count("ok")
    if good == len(tries) and code == 0:
        return good, ""
    wrong = next((line for line in lines if line != "ok"), f"ended with {code} (-14: too long)")
    return good, wrong


def _run(tries: list[tuple[str, Callable[[], object]]], writes: int) -> int:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    for _, do in tries:
        signal.alarm(SECONDS)
        began = time.monotonic()
        try:
            do()
        except StockpotError:
            pass
        except BaseException as error:
            said = f"{type(error).__name__}: {str(error)[:200]}".replace("\n", " ")
            os.write(writes, f"{said} after {time.monotonic() - began:.0f} s\n".encode())
            return 1
        signal.alarm(0)
        os.write(writes, b"ok\n")
    return 0
