"""Does an output's configuration say what its tensors are, so that a library can load it."""

from ...checkpoints.beside.agreement import Written, disagreements
from ...checkpoints.beside.config import read_config
from ...checkpoints.beside.files import small_files
from ...checkpoints.entry import Checkpoint
from ...errors import CheckpointError


def structure_problems(written: Checkpoint) -> list[str]:
    """Where config.json is no configuration, or it and the tensors are not of one network."""
    try:
        config = read_config(small_files(written))
    except CheckpointError as error:
        return [str(error)]
    shapes = {name: entry.shape for name, entry in written.entries.items()}
    return [] if config is None else list(disagreements(config, Written(shapes=shapes)))
