"""What a method gave beside the merged tensors: files of their own in a folder of the output.

No library looks into that folder for weights, so that the merged model stays loadable. A file holds
what there is of one model, or of all models together, under names that no two of its tensors share.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..entry import Checkpoint
from ..formats.safetensors import read_safetensors
from ..source import FileSource
from .manifest import manifest_path, read_manifest

FOLDER = "extras"


def extras_file(model: int | None) -> str:
    """The file, within an output, of what there is of one model, or of all of them.

    Example:
        >>> extras_file(3), extras_file(None)
        ('extras/model-3.safetensors', 'extras/models.safetensors')
    """
    return f"{FOLDER}/{'models' if model is None else f'model-{model}'}.safetensors"


def files_of_extras(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a manifest says of those files; nothing where the method gave nothing."""
    return manifest["output"].get("extras", [])


def read_extras(output: Path, manifest: Mapping[str, Any] | None = None) -> Checkpoint | None:
    """The extras of an output, by name; None where there are none, or it is no output of ours.

    Raises:
        CheckpointError: one of its files cannot be read.
        OutputError: its manifest cannot be read.
    """
    if output.suffix == ".safetensors" or not manifest_path(output).is_file():
        return None
    files = files_of_extras(read_manifest(output) if manifest is None else manifest)
    parts = [read_safetensors(FileSource(output / file["name"])) for file in files]
    entries = {name: entry for part in parts for name, entry in part.entries.items()}
    sources = tuple(source for part in parts for source in part.files)
    return Checkpoint(str(output / FOLDER), entries, sources) if files else None
