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
from typing import Any, NamedTuple, NoReturn, cast

from cyclopts import App, CycloptsError, Group

from ..errors import StockpotError
from .command_line import UsageError, remember, told_by_the_command_line
from .console import Screen, complain, keep_to_results
from .lists import with_commas

_LONG = re.compile(r"\S{120,}")
_MISSING = re.compile(r'Command "(?P<name>[^"]+)" parameter (?P<what>\S+) requires an argument\.')


class Command(NamedTuple):
    """A command: where it is, in which group help shows it, and in one sentence what it does."""

    name: str
    where: str
    group: Group
    summary: str


MERGE, LOOK, JUDGE, LEARN, STUDY = (
    Group(title, sort_key=place)
    for place, title in enumerate(("Merge", "Look", "Judge", "Learn", "Study"))
)
COMMANDS = (
    Command(
        "merge", "merging.merge:merge_app", MERGE,
        "Merge checkpoints: stockpot merge METHOD MODEL... --out PATH.",
    ),
    Command(
        "run", "merging.recipe:run", MERGE,
        "Carry out a recipe in YAML: methods, rules per tensor, layers, output.",
    ),
    Command(
        "reestimate", "merging.reestimate:reestimate", MERGE,
        "Estimate the batch-norm statistics of a merged network again, on training data.",
    ),
    Command(
        "factor", "merging.factor:factor", MERGE,
        "Store models as their average and CART's low-rank factors of each: one network per task.",
    ),
    Command(
        "restore", "merging.factor:restore", MERGE,
        "Write one task's network from stored factors, or all tasks merged by CART.",
    ),
    Command(
        "statistics", "lab.statistics:statistics_app", MERGE,
        "Statistics of a model's data, for a merge to use.",
    ),
    Command(
        "methods", "merging.methods:methods", LOOK,
        "List the merge methods, or explain one: formula, fields, needs, cost, source.",
    ),
    Command(
        "inspect", "merging.inspect:inspect", LOOK,
        "Show tensors, roles, dtypes and sizes; of several models, whether they fit.",
    ),
    Command(
        "diagnose", "lab.diagnose:diagnose", LOOK,
        "Will these models merge? Told from their weights before anything is merged.",
    ),
    Command(
        "explain", "merging.recipe:explain", LOOK,
        "For each tensor: method, fields, weights, and which rule said so.",
    ),
    Command(
        "verify", "merging.verify:verify", LOOK,
        "Check every file of an output: there, as written, finite, and no other beside it.",
    ),
    Command(
        "compare", "lab.compare:compare", JUDGE,
        "Compare keeping the best network, souping them, and ensembling them, on the same data.",
    ),
    Command(
        "search", "lab.search:search", JUDGE,
        "Search a recipe's weights and fields on the selection split; judge the winner on test, "
        "once.",
    ),
    Command(
        "report", "lab.report:report", JUDGE,
        "Make the page of a run again from its results.json, without models and without data.",
    ),
    Command(
        "demo", "lab.demo:demo", LEARN,
        "Train ten fine-tunes on handwritten digits, merge them, and compare on held-out images.",
    ),
    Command(
        "train", "lab.train:train", LEARN,
        "Train the ingredients of an experiment, or go on where an earlier run ended.",
    ),
    Command(
        "federate", "lab.federate:federate", LEARN,
        "Run federated learning: clients learn on their own data, the server merges what they "
        "send.",
    ),
    Command(
        "study", "lab.study:study_app", STUDY,
        "Why merging works: stockpot study NAME ... --out RUN.",
    ),
)  # fmt: skip
"""Every command. One that runs is imported alone, so that a merge loads no lab; help and the
completion of names import none of them."""


def program(running: str | None = None) -> App:
    """The command line; the command that runs tells all of itself, help of it too."""
    app = App(
        name="stockpot",
        help="Merge neural networks by their weights: any checkpoints in, a merge at disk speed, "
        "evidence beside it.",
        version=version("stockpot"),
        suppress_keyboard_interrupt=False,
        console=Screen(),
    )
    for place, (name, where, group, summary) in enumerate(COMMANDS):
        told = None if name == running else summary
        path = f"stockpot.cli.{where}"
        app.command(path, name=name, group=group, help=told, sort_key=place)
    cast(Any, app).register_install_completion_command(name="--install-completion")
    itself = Group("This program", sort_key=9)
    for flag in ("--help", "--version", "--install-completion"):
        app[flag].group = (itself,)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a letter gets its code
            stream.reconfigure(errors="backslashreplace")
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    code = execute(tokens)
    gc.freeze()  # what commands imported is no garbage: looking for some takes 0.3 s at exit
    sys.exit(code)


def execute(tokens: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    as_json = "--json" in tokens
    keep_to_results(quiet=as_json or "--quiet" in tokens)
    remember(tokens)
    tokens = with_commas(tokens)
    try:
        if tokens[:1] == ["merge"] and len(tokens) > 1 and tokens[1] not in ("--help", "-h"):
            from .merging.merge import offer

            with told_by_the_command_line():
                offer(tokens[1], tokens[2:])
        app = program(tokens[0] if tokens else None)
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        complain(_message(error), as_json=as_json)
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


def _message(error: CycloptsError) -> str:
    """The parser's words, long ones cut; what is missing as a sentence with where help is."""
    said = _LONG.sub(lambda word: word[0][:80] + "…", str(error).strip())
    if missing := _MISSING.fullmatch(said):
        name, what = missing["name"], missing["what"]
        return f"{name} needs {what}; `stockpot {name} --help` says what it is."
    return said
