"""Flower's programs as children of this process: each is gone at its end, with all it has started.

`flwr run` alone starts a SuperLink that stays; here there is one that was started for it.
"""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ... import system
from ...errors import StockpotError

_START = 120.0
"""Seconds that a SuperLink may take to listen."""
_STOP = 15.0
"""Seconds from a polite end to a forced one."""
_MARK = "STOCKPOT_STARTED"
LINK = "stockpot"
"""What `flwr` calls the SuperLink in its configuration."""


def tool(name: str) -> str:
    """One of Flower's programs, in the environment of this interpreter."""
    return str(Path(sys.executable).parent / name)


def environment(home: Path) -> dict[str, str]:
    """Of Flower's programs: nothing is told to anybody, and children find this interpreter's."""
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return {
        **os.environ,
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def write_connection(home: Path, port: int, certificate: Path | None = None) -> None:
    """Tell `flwr` where the SuperLink is."""
    secure = f"root-certificates = {json.dumps(str(certificate))}" if certificate else ""
    text = f"""\
[superlink]
default = "{LINK}"

[superlink.{LINK}]
address = "127.0.0.1:{port}"
{secure or "insecure = true"}
"""
    (home / "config.toml").write_text(text, encoding="utf8")


def run_app(app: Path, home: Path, more: Sequence[str] = ()) -> str:
    """`flwr run`, until the run has ended; gives what it said.

    Raises:
        StockpotError: it failed.
    """
    command = [tool("flwr"), "run", str(app), LINK, "--stream", *more]
    log = home / "run.log"
    with started(command, home, log) as process:
        code = process.wait()
    said = log.read_text(encoding="utf8", errors="replace")
    if code:
        raise StockpotError(f"flwr run ended with {code}: {_tail(log)}")
    return said


@contextmanager
def started(command: Sequence[str], home: Path, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """A program that is gone at the end, whatever happens, with all that it has started.

    Flower starts programs in sessions of their own, which outlive their parent for a while: they
    are known by a mark in their environment.
    """
    mark = f"{_MARK}={uuid.uuid4().hex}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(home) | dict([mark.split("=")]),
            cwd=home,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process, mark)


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End a program and what it has started: first politely, then by force."""
    known: set[int] = set()
    for sign in system.here.ENDINGS:
        for one in system.here.marked_processes(mark) | {process.pid}:
            with suppress(ProcessLookupError):
                os.kill(one, sign)
        until = time.monotonic() + _STOP
        while time.monotonic() < until:
            known |= system.here.marked_processes(
                mark
            )  # one that is on its way out has no environment any more
            if process.poll() is not None and not any(map(system.here.is_running, known)):
                break
            time.sleep(0.1)
    process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, log: Path) -> None:
    """Until something listens.

    Raises:
        StockpotError: nothing does in time.
    """
    until = time.monotonic() + _START
    while time.monotonic() < until:
        with socket.socket() as one:
            one.settimeout(1)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise StockpotError(f"Flower's SuperLink does not listen: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf8", errors="replace").split("\n")
    return " | ".join(line.strip() for line in lines[-12:] if line.strip())[-1200:]
