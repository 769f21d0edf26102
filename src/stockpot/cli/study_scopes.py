"""`stockpot study scopes` and `stockpot study conflicts`: two readings of one pass."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .console import steps
from .flags import Flag
from .studies import Base, Folder, check_models, finish, open_models
from .usage import UsageError

if TYPE_CHECKING:
    from ..studies import Study

Roles = Annotated[
    str | None, Parameter(help="Roles of tensors, as stockpot inspect has them: conv,matrix.")
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PassFlags:
    """How one pass over the models goes.

    Attributes:
        pool: The seed of the run's pool; its first without it.
        memory: Budget for buffers, such as 512MiB or 8GiB.
        workers: Threads; by default one per core, at most eight.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """

    base: Base = None
    roles: Roles = None
    pool: int | None = None
    memory: str = "2GiB"
    workers: int | None = None
    json: Flag = False
    quiet: Flag = False


_PLAIN = PassFlags()


def scopes(*models: str, out_: Folder, flags: PassFlags = _PLAIN) -> int:
    """Mean and spread of each layer's weights, whether they are normal, how models differ (WSA).

    Args:
        models: Checkpoints; or the folder of an experiment's run.
    """
    from .. import studies

    return _study(studies.scopes, "scopes", models, out_, flags)


def conflicts(*models: str, out_: Folder, flags: PassFlags = _PLAIN) -> int:
    """Signs, angles and lengths of task vectors, layer by layer.

    Args:
        models: Checkpoints; or the folder of an experiment's run.
    """
    from .. import studies

    return _study(studies.conflicts, "conflicts", models, out_, flags)


def _study(
    compute: "Callable[..., Study]",
    name: str,
    models: tuple[str, ...],
    out: Path,
    flags: PassFlags,
) -> int:
    check_models(name, models, flags.workers)
    return run_pass(compute, models, out, flags, **roles_of(flags))


def roles_of(flags: PassFlags) -> dict[str, Any]:
    """The roles, where they were given."""
    return {} if flags.roles is None else {"roles": words_of_roles(flags.roles)}


def run_pass(
    compute: "Callable[..., Study]",
    models: tuple[str, ...],
    out: Path,
    flags: PassFlags,
    **chosen: Any,
) -> int:
    """Open what was given, compute a study of one pass, and write and tell what it found."""
    given = open_models(models, flags.base, flags.pool, out, quiet=flags.quiet)
    with steps(quiet=flags.quiet or flags.json) as progress:
        found = compute(
            given.models,
            base=given.base,
            names=given.names,
            private=given.private,
            memory=flags.memory,
            workers=flags.workers,
            progress=progress,
            **chosen,
        )
    return finish(found, out, json=flags.json, quiet=flags.quiet)


def words_of_roles(text: str) -> tuple[str, ...]:
    """The roles that a flag names, with a comma between them."""
    from ..checkpoints.roles import Role

    words = tuple(text.split(","))
    if wrong := [one for one in words if one not in list(Role)]:
        raise UsageError(
            f"--roles: there is no role '{wrong[0][:80]}'; there are {', '.join(Role)}."
        )
    return words
