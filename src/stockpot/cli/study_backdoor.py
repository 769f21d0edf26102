"""`stockpot study backdoor`: who moves the merge most, where, and who is unlike the others."""

from typing import Annotated

from cyclopts import Parameter

from .studies import Folder, check_models
from .study_scopes import PassFlags, roles_of, run_pass
from .usage import told_by_the_command_line

Merge = Annotated[
    str | None,
    Parameter(
        name="--method",
        help="Whose merge is looked at: a method's name, or a YAML mapping of its name and fields, "
        "such as '{name: ties, density: 0.1}'. K + 1 merges in memory.",
    ),
]
_PLAIN = PassFlags()


def backdoor(
    *models: str,
    out_: Folder,
    merge_: Merge = None,
    threshold: float | None = None,
    seed: int = 0,
    flags: PassFlags = _PLAIN,
) -> int:
    """Leave one out: which contributor moves the merge most, where, and who is an outlier.

    Args:
        models: Checkpoints; or the folder of an experiment's run.
        threshold: Scores above it are an alarm.
        seed: Of methods that draw at random.
    """
    from .. import studies
    from ..methods.catalogue import read_method
    from ..recipes.yaml import load_yaml

    check_models("backdoor", models, flags.workers)
    chosen = roles_of(flags)
    if threshold is not None:
        chosen["threshold"] = threshold
    with told_by_the_command_line():
        if merge_ is not None:
            chosen["method"] = read_method(load_yaml(merge_, "--method"))
    return run_pass(studies.contributors, models, out_, flags, seed=seed, **chosen)
