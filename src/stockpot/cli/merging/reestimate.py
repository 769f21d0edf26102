"""`stockpot reestimate MODEL --network N --data D --out PATH`, and the flag of merges for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Group, Parameter

from ..command_line import UsageError, told_by_the_command_line
from ..flags import MODEL, Device, Flag, Json, Many, Quiet, at_least
from .perform import carry, perform
from .run_flags import Out, RunFlags

if TYPE_CHECKING:
    from ...recipes.reading.recipe import Recipe
    from ...reestimation import Reestimation

Model = Annotated[str, Parameter(help=MODEL)]
Network = Annotated[str, Parameter(help="What the weights are, as for `stockpot compare`.")]
Data = Annotated[str, Parameter(help="Whose training part is looked at, as for `compare`.")]
Samples = Annotated[int | None, Parameter(validator=at_least(2, "--samples"))]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReestimateFlags:
    """Batch norm of what is merged.

    Attributes:
        reestimate: Estimate batch-norm statistics of the result again before it is written, on
            training samples of --data, with the network --network.
        network: With --reestimate: what the weights are, as for `stockpot compare`.
        data: With --reestimate: whose training part is looked at.
        samples: With --reestimate: how many training samples; 2048 by default.
    """

    reestimate: Flag = False
    network: str | None = None
    data: str | None = None
    samples: Samples = None

    def check(self) -> None:
        """Refuse flags that would be ignored, and the flag without what it needs."""
        given = {"--network": self.network, "--data": self.data, "--samples": self.samples}
        idle = [flag for flag, value in given.items() if value is not None]
        if idle and not self.reestimate:
            raise UsageError(f"{', '.join(idle)}: only --reestimate looks at that; add it.")
        if self.reestimate and (self.network is None or self.data is None):
            raise UsageError("--reestimate needs --network and --data, as `stockpot compare` does.")

    def of(self, recipe: "Recipe", flags: RunFlags) -> "Reestimation | None":
        """What these flags ask for; None without the flag."""
        if not self.reestimate:
            return None
        network, data = specs(self.network, self.data)
        from ...reestimation import SAMPLES, reestimation

        device = flags.options().torch_device
        samples = SAMPLES if self.samples is None else self.samples
        return reestimation(network, data, samples=samples, seed=recipe.seed, device=device)


Anew = Annotated[ReestimateFlags, Parameter(group=Group("Batch norm", sort_key=3))]


def perform_anew(recipe: "Recipe", out: Path, flags: RunFlags, anew: ReestimateFlags) -> int:
    """Carry out a merge, with statistics estimated again where that is asked for."""
    with told_by_the_command_line():
        anew.check()
    return perform(recipe, out, flags, anew.of(recipe, flags))


def reestimate(
    model: Model,
    /,
    *,
    network: Network,
    data: Data,
    out: Out,
    samples: Annotated[int, Parameter(validator=at_least(2, "--samples"))] = 2048,
    seed: int = 0,
    device: Device = "auto",
    key: Many = (),
    resume: Flag = False,
    overwrite: Flag = False,
    dry_run: Flag = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Estimate the batch-norm statistics of a merged network again, on training data.

    An average of statistics is not the statistics of the average. All other tensors keep their
    bytes. Of --data only the training part is looked at, never the test part.

    Args:
        samples: How many training samples are drawn; all, where there are fewer.
        seed: Of the split, where the data have no test part of their own, and of the draw.
        key: Which nested dictionary of a torch file is the state dict.
        resume: Continue an unfinished output.
        overwrite: Replace an earlier output of stockpot at the output's path, and that alone.
        dry_run: Show the plan and write nothing.
    """
    named = specs(network, data)
    from ...reestimation import prepare_reestimation

    flags = RunFlags(
        seed=seed,
        device=device,
        key=key,
        resume=resume,
        overwrite=overwrite,
        dry_run=dry_run,
        json=json,
        quiet=quiet,
    )
    return carry(
        lambda options: prepare_reestimation(
            model, *named, out, samples=samples, seed=seed, options=options
        ),
        out,
        flags,
        "written again",
    )


def specs(network: str | None, data: str | None) -> tuple[Any, Any]:
    """Names, or mappings where YAML was given."""
    with told_by_the_command_line():
        from ...recipes.reading.yaml import name_or_mapping

        pairs = ((network, "--network"), (data, "--data"))
        return cast(
            tuple[Any, Any],
            tuple(text and name_or_mapping(text, flag) for text, flag in pairs),
        )
