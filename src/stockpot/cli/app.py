"""The command line: parse, run, and turn every error into one line and an exit code.

0 done; 2 when the command line alone shows what is wrong; 1 when reading shows it; 130 on Ctrl-C.
"""

import gc
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from typing import Any, NoReturn, cast

from cyclopts import App, CycloptsError

from ..errors import StockpotError
from ..methods.catalogue import find_method
from .command_line import UsageError, remember, told_by_the_command_line
from .console import Screen, complain

_LONG = re.compile(r"\S{120,}")

COMMANDS = {
    "merge": "merging.merge:merge_app",
    "study": "lab.study:study_app",
    "statistics": "lab.statistics:statistics_app",
    "run": "merging.recipe:run",
    "reestimate": "merging.reestimate:reestimate",
    "methods": "merging.methods:methods",
    "inspect": "merging.inspect:inspect",
    "diagnose": "lab.diagnose:diagnose",
    "explain": "merging.recipe:explain",
    "verify": "merging.verify:verify",
    "factor": "merging.factor:factor",
    "restore": "merging.factor:restore",
    "train": "lab.train:train",
    "compare": "lab.compare:compare",
    "search": "lab.search:search",
    "federate": "lab.federate:federate",
    "report": "lab.report:report",
    "demo": "lab.demo:demo",
}
"""Where each command is. One that runs is imported alone, so that a merge loads no lab."""

app = App(
    name="stockpot",
    help="Merge neural networks by their weights: any checkpoints in, a merge at disk speed, "
    "evidence beside it.",
    version=version("stockpot"),
    suppress_keyboard_interrupt=False,
    console=Screen(),
)
for _name, _where in COMMANDS.items():
    app.command(f"stockpot.cli.{_where}", name=_name)
cast(Any, app).register_install_completion_command(name="--install-completion")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    gc.freeze()  # what was imported is no garbage: looking for some takes half a second at exit
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a letter gets its code
            stream.reconfigure(errors="backslashreplace")
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(execute(tokens))


def execute(tokens: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    as_json = "--json" in tokens
    remember(tokens)
    if not tokens or tokens[0] not in COMMANDS:
        for name in COMMANDS:
            _ = app[name]  # which imports it: help and completion tell of all
    try:
        if tokens[:1] == ["merge"] and len(tokens) > 1 and not tokens[1].startswith("-"):
            with told_by_the_command_line():
                find_method(tokens[1])
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        complain(_LONG.sub(lambda word: word[0][:80] + "…", str(error).strip()), as_json=as_json)
        return 2
    except UsageError as error:
        complain(str(error), as_json=as_json)
        return 2
    except StockpotError as error:
        complain(str(error), as_json=as_json)
        return 1
    except KeyboardInterrupt:
        kept = "; what is finished is kept: run again with --resume."
        complain(
            "interrupted" + (kept if tokens[:1] in (["merge"], ["run"], ["reestimate"]) else "."),
            as_json=as_json,
        )
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of a pipe left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0
