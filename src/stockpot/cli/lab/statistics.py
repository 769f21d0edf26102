"""`stockpot statistics fisher MODEL EXPERIMENT.yml --out FILE`: what methods with data need."""

import json as text
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ...errors import OutputError, StockpotError
from ..command_line import UsageError
from ..console import print_json, say
from ..flags import Json, Overwrite, Quiet, at_least

Model = Annotated[Path, Parameter(help="A checkpoint of the experiment's network.")]
File = Annotated[Path, Parameter(help="The experiment: YAML, see docs/experiments.md.")]
Out = Annotated[Path, Parameter(name="--out", help="A .safetensors file.")]

statistics_app = App(name="statistics", help="Statistics of a model's data, for a merge to use.")


def fisher(
    model: Model,
    experiment: File,
    /,
    *,
    out_: Out,
    examples: Annotated[int, Parameter(validator=at_least(1, "--examples"))] = 256,
    seed: int = 0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """The diagonal Fisher information of a model on the experiment's training split.

    Args:
        examples: How many samples it is estimated on; more cost more and vary less.
        seed: Of their draw.
    """
    from ...experiments.experiment import read_experiment
    from ...networks import load_weights, save_state
    from ...training.fitting.fisher import fisher as information
    from ...training.jobs.cell import open_cell

    del quiet  # there is nothing but the result
    if out_.suffix != ".safetensors":
        raise UsageError(f"--out {out_}: name a .safetensors file.")
    if out_.exists() and not (overwrite and out_.is_file()):
        raise OutputError(f"{out_} exists: pass --overwrite to replace it, or another --out.")
    wanted = read_experiment(experiment)
    if wanted.network is None or wanted.data is None:
        raise StockpotError(f"{experiment}: statistics need one network and one data set.")
    cell = open_cell(wanted)
    network = load_weights(cell.network(0), model).eval()
    found = information(network, cell.splits.train, examples=examples, seed=seed)
    told = {"statistics": "fisher", "model": str(model), "examples": examples, "seed": seed}
    out_.parent.mkdir(parents=True, exist_ok=True)
    save_state(found, out_, {"stockpot.statistics": text.dumps(told)})
    if json:
        print_json({"out": str(out_), "tensors": len(found), **told})
    else:
        say(f"{out_}: Fisher information of {len(found)} tensors.")
    return 0


statistics_app.command(fisher)
