"""`stockpot study backdoor`: who moves the merge most, where, and who is unlike the others."""

from typing import Annotated, Any

from cyclopts import Parameter

from .console import steps
from .flags import Flag
from .studies import Base, Folder, check_models, finish, open_models
from .study_scopes import Roles, words_of_roles
from .usage import told_by_the_command_line

Merge = Annotated[
    str | None,
    Parameter(
        name="--method",
        help="Whose merge is looked at: a method's name, or a YAML mapping of its name and fields, "
        "such as '{name: ties, density: 0.1}'. K + 1 merges in memory.",
    ),
]


def backdoor(
    *models: str,
    out_: Folder,
    base: Base = None,
    merge_: Merge = None,
    threshold: float | None = None,
    roles: Roles = None,
    pool: int | None = None,
    memory: str = "2GiB",
    workers: int | None = None,
    seed: int = 0,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Leave one out: which contributor moves the merge most, where, and who is an outlier.

    Args:
        models: Checkpoints; or the folder of an experiment's run.
        threshold: Scores above it are an alarm.
        pool: The seed of the run's pool; its first without it.
        memory: Budget for buffers, such as 512MiB or 8GiB.
        workers: Threads; by default one per core, at most eight.
        seed: Of methods that draw at random.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    from .. import studies
    from ..methods.catalogue import read_method
    from ..recipes.yaml import load_yaml

    check_models("backdoor", models, workers)
    chosen: dict[str, Any] = {} if roles is None else {"roles": words_of_roles(roles)}
    if threshold is not None:
        chosen["threshold"] = threshold
    with told_by_the_command_line():
        if merge_ is not None:
            chosen["method"] = read_method(load_yaml(merge_, "--method"))
    given = open_models(models, base, pool, out_, quiet=quiet)
    with steps(quiet=quiet or json) as progress:
        found = studies.contributors(
            given.models,
            base=given.base,
            names=given.names,
            private=given.private,
            memory=memory,
            workers=workers,
            seed=seed,
            progress=progress,
            **chosen,
        )
    return finish(found, out_, json=json, quiet=quiet)
