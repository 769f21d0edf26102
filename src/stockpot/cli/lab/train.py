"""`stockpot train EXPERIMENT.yml --out RUN`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..console import note, print_json, say, steps
from ..flags import Device, Jobs, Json, Quiet

if TYPE_CHECKING:
    from ...training.jobs.pools import Pool

File = Annotated[Path, Parameter(help="The experiment: YAML, see docs/experiments.md.")]
Folder = Annotated[Path, Parameter(help="Folder of the run; one that is unfinished goes on.")]


def train(
    experiment: File,
    /,
    *,
    out_: Annotated[Folder, Parameter(name="--out")],
    jobs: Jobs = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train the ingredients of an experiment, or go on where an earlier run ended."""
    from ...experiments.experiment import read_experiment
    from ...training.jobs.pools import train_experiment

    wanted, begun = read_experiment(experiment), time.monotonic()
    try:
        with steps(quiet=quiet or json) as progress:
            pools = train_experiment(wanted, out_, jobs=jobs, device=device, progress=progress)
    except KeyboardInterrupt:
        note("what is finished is kept: the same command goes on from there.")
        raise
    if json:
        print_json({"out": str(out_), "pools": [_facts(pool) for pool in pools]})
    else:
        for pool in pools:
            say(_sentence(pool, out_))
        seconds = time.monotonic() - begun
        say(f"{out_ / 'experiment.json'} lists them; {seconds:.1f} s.")
    return 0


def _facts(pool: "Pool") -> dict[str, object]:
    return {
        "cell": pool.cell,
        "seed": pool.seed,
        "base": str(pool.base) if pool.base else None,
        "ingredients": [
            {
                "name": one.name,
                "path": str(one.path),
                "selection_metric": one.selection_metric,
                "selection_score": one.selection_score,
            }
            for one in pool.kept
        ],
    }


def _sentence(pool: "Pool", out: Path) -> str:
    scores = [one.selection_score for one in pool.kept]
    low, high, mean = min(scores), max(scores), sum(scores) / len(scores)
    return (
        f"{out / pool.cell / f'pool-{pool.seed}'}: {len(scores)} ingredients, "
        f"{pool.kept[0].selection_metric} on the selection split {100 * low:.1f}% to "
        f"{100 * high:.1f}%, {100 * mean:.1f}% on average."
    )
