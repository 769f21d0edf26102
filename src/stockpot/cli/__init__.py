"""The command line; the only room that prints, shows progress or exits."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import FrameType
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; Ctrl-C ends it in one line, also while torch is imported."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if tokens == ["--version"]:  # torch takes two seconds to import
        sys.stdout.write(f"{version('stockpot')}\n")
        sys.exit(0)
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else it is ignored, as under nohup, or a caller's own
        signal.signal(signal.SIGINT, _leave)
    from .app import main as run

    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    run(tokens)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Nothing has begun: an exception would only turn up inside of what is imported."""
    sys.stderr.write("stockpot: interrupted.\n")
    sys.stderr.flush()
    os._exit(128 + signal.SIGINT)
