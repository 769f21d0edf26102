"""The commands of the lab: `stockpot demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..command_line import spoken
from ..console import print_json, say, steps
from ..flags import Json, Quiet
from .compare import print_comparison

Folder = Annotated[Path, Parameter(help="Folder for the networks, merges, tables and figures.")]


def demo(
    *,
    out_: Annotated[Folder, Parameter(name="--out")] = Path("demo"),
    seed: int = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train ten fine-tunes on handwritten digits, merge them, and compare on held-out images.

    Args:
        seed: Of the split, the random starts and the order of the data.
    """
    from .demonstration import run_demo

    with steps(quiet=quiet or json) as progress:
        found = run_demo(out_, seed=seed, progress=progress, command=spoken())
    if json:
        merges = [str(path) for path in found.merges]
        control = found.control.as_dict()
        shown = {"out": str(out_), "merges": merges, "control": control}
        print_json(shown | found.comparison.as_dict())
        return 0
    print_comparison(found.comparison)
    say(found.sentence())
    say(f"\n{out_ / 'report.html'} has the figures; results.csv and results.json every number.")
    say(f"{out_ / 'experiment.yml'} is what was run: change it, and stockpot compare it yourself.")
    say(f"Try: stockpot verify {found.merges[0]} --recompute")
    return 0
