"""`stockpot search RECIPE.yml EXPERIMENT.yml`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from ...engine.options import Options
from ...recipes.reading.searching import ONE_SEARCH, Budget
from ..command_line import UsageError, spoken, told_by_the_command_line
from ..console import note, print_json, say, steps
from ..fields import with_fields
from ..flags import Device, Flag, Json, Quiet, Workers
from ..merging.recipe import recipe_with_flags
from ..merging.run_flags import RunFlags
from .compare import print_comparison

if TYPE_CHECKING:
    from ...training.jobs.search import SearchResult

Recipe = Annotated[Path, Parameter(help="What is merged, and under search: what may change.")]
Data = Annotated[Path, Parameter(help="An experiment: network, data or tasks, split, metric.")]
Folder = Annotated[Path, Parameter(help="Folder for the winner, its merge, trials and report.")]


@with_fields("budget", ONE_SEARCH, Group("How it is searched", sort_key=1))
def search(
    recipe: Recipe,
    experiment: Data,
    /,
    *,
    out_: Annotated[Folder, Parameter(name="--out")] = Path("search"),
    budget: Budget,
    memory: str = "2GiB",
    workers: Workers = None,
    device: Device = "auto",
    factors: Path | None = None,
    resume: Flag = False,
    overwrite: Flag = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search a recipe's weights and fields on the selection split; judge the winner on test, once.

    The uniform soup, the method's defaults and the recipe as it is are tried first.

    Args:
        memory: Models that fit in it together are read once, and held.
        factors: Folder that keeps CART's factors for other searches of these models.
        resume: Go on with an earlier search, perhaps for more trials.
        overwrite: Forget an earlier search.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with a search, --overwrite forgets it: give one.")
    with told_by_the_command_line():
        options = Options(memory=memory, workers=workers)
    from ...experiments.experiment import read_experiment
    from ...report import write_report
    from ...training.jobs.search import search as search_with

    wanted, data = recipe_with_flags(recipe, RunFlags()), read_experiment(experiment)
    try:
        with steps(quiet=quiet or json) as progress:
            found = search_with(
                wanted,
                data,
                out_,
                budget=budget,
                resume=resume,
                overwrite=overwrite,
                device=device,
                factors=factors,
                options=options,
                progress=progress,
            )
            write_report(found.comparison, out_, spoken())
    except KeyboardInterrupt:
        note("what was tried is kept: the same command with --resume goes on from there.")
        raise
    if json:
        print_json(_facts(found, out_))
    else:
        _tell(found, out_)
    return 0


def _facts(found: "SearchResult", out: Path) -> dict[str, object]:
    return {
        "out": str(out),
        "best": str(found.best),
        "merged": str(found.merged),
        "score": found.score,
        "recipe": found.recipe.resolved(),
        **found.comparison.as_dict(),
    }


def _tell(found: "SearchResult", out: Path) -> None:
    print_comparison(found.comparison)
    say(f"\n{found.best} is the winner: stockpot run {found.best} --out PATH; {found.merged} is")
    say(f"its merge, {out / 'trials.csv'} has every trial, {out / 'report.html'} the figures.")
