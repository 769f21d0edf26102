"""The commands of the lab: `stockpot demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .console import out, print_json, say, steps
from .flags import Flag

Folder = Annotated[Path, Parameter(help="Folder for the networks, merges, table and figure.")]


def demo(
    *,
    out_: Annotated[Folder, Parameter(name="--out")] = Path("demo"),
    seed: int = 0,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Train specialists on handwritten digits, merge them, and compare on held-out images.

    Args:
        seed: Of the split, the random starts and the order of the data.
        json: Print one JSON object on stdout and nothing else.
        quiet: No progress.
    """
    from .demo import print_demo, run_demo  # the lab's libraries load only here

    with steps(quiet=quiet or json) as progress:
        comparison = run_demo(out_, seed=seed, progress=progress)
    if json:
        print_json({"out": str(out_), **comparison.as_dict()})
        return 0
    print_demo(comparison, out)
    soup = out_ / "merges" / "uniform-soup.safetensors"
    say(f"\n{out_}/ has the networks, the merges with their merge.json, results.csv, results.json")
    say(f"and comparison.svg. Try: stockpot verify {soup} --recompute")
    return 0
