"""Does an output's configuration say what its tensors are, so that a library can load it."""

from pathlib import Path

from ...checkpoints.beside.agreement import Written, disagreements
from ...checkpoints.beside.config import read_config
from ...checkpoints.beside.files import survey
from ...checkpoints.entry import Checkpoint
from ...errors import CheckpointError


def structure_problems(directory: Path, written: Checkpoint) -> list[str]:
    """Where config.json is no configuration, or it and the tensors are not of one network.

    Args:
        directory: of the output.
        written: its tensors.
    """
    try:
        config = read_config(survey(directory, written.label))
    except CheckpointError as error:
        return [str(error)]
    shapes = {name: entry.shape for name, entry in written.entries.items()}
    return [] if config is None else list(disagreements(config, Written(shapes=shapes)))
