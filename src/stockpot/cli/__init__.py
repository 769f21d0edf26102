"""The command line; the only room that prints, shows progress or exits."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; Ctrl-C ends it in one line, also while torch is imported."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else it is ignored, as under nohup, or a caller's own
        signal.signal(signal.SIGINT, _leave)
    from .app import main as run

    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    run(arguments)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Nothing has begun: an exception would only turn up inside of what is imported."""
    sys.stderr.write("stockpot: interrupted.\n")
    sys.stderr.flush()
    os._exit(128 + signal.SIGINT)
