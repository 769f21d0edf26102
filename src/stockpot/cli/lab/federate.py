"""`stockpot federate EXPERIMENT.yml --out RUN`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..command_line import spoken
from ..console import note, print_json, print_table, say, steps
from ..flags import Json, Quiet

if TYPE_CHECKING:
    from ...evaluation.results.intervals import Interval
    from ...federated import Outcome

File = Annotated[Path, Parameter(help="The experiment: YAML, see docs/federated.md.")]
Folder = Annotated[Path, Parameter(help="Folder of the run; one that is unfinished goes on.")]


def federate(
    experiment: File,
    /,
    *,
    out_: Annotated[Folder, Parameter(name="--out")],
    engine: Literal["local", "flower"] = "local",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run federated learning: clients learn on their own data, the server merges what they send.

    Args:
        engine: local runs clients one after the other in this process; flower runs the same app in
            Flower's simulation engine, to the same bytes.
    """
    from ...experiments.federated import read_federation
    from ...federated import federate as run_all
    from ...federated import local
    from ...report import write

    federation = read_federation(experiment)
    chosen = local
    if engine == "flower":
        from ...federated.flower import simulation

        chosen = simulation
    try:
        with steps(quiet=quiet or json) as progress:
            outcome = run_all(federation, out_, chosen, progress=progress)
    except KeyboardInterrupt:
        note("finished rounds are kept: the same command goes on from there.")
        raise
    write(outcome, out_, spoken())
    if json:
        print_json({"out": str(out_), "final": outcome.as_dict()["final"]})
    else:
        _show(outcome)
        say(f"\n{out_ / 'report.html'} has the figures; results.csv and results.json every number.")
    return 0


_WORDS = (
    "alpha: how unlike the clients' data are; smaller is more unlike. [95%]: interval over "
    "repetitions and test samples. minus: the gain over that algorithm. worst client: the lowest "
    "accuracy of a client's own model."
)


def _show(outcome: "Outcome") -> None:
    first = outcome.runs[0]
    rows: list[tuple[str, ...]] = []
    for alpha in outcome.alphas:
        for run in outcome.runs:
            clients = list(outcome.clients(alpha, run).values())
            worst = f"{min(clients):.4f}" if clients else ""
            gain = "" if run == first else _written(outcome.gain(alpha, run), "+.4f")
            partition = "by domain" if alpha is None else f"{alpha:g}"
            rows.append((partition, run, _written(outcome.final(alpha, run), ".4f"), gain, worst))
    columns = ("alpha", "algorithm", "test accuracy [95%]", f"minus {first}", "worst client")
    print_table(outcome.title, columns, rows, _WORDS)


def _written(one: "Interval", digits: str) -> str:
    if not math.isfinite(one.low):
        return f"{one.value:{digits}}"
    return f"{one.value:{digits}} [{one.low:{digits}}, {one.high:{digits}}]"
