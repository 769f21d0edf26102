"""Is an output what its manifest says: every file, every tensor; or made once more."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ..checkpoints.entry import Checkpoint
from ..checkpoints.formats.safetensors import read_safetensors
from ..checkpoints.formats.untrusted import shown
from ..checkpoints.source import FileSource
from ..checkpoints.writing.extras import files_of_extras, read_extras
from ..checkpoints.writing.manifest import manifest_path, read_manifest
from ..checkpoints.writing.writer import was_interrupted
from ..errors import CheckpointError
from ..values.bars import Bar, bar_for
from ..values.result import Progress
from .evidence import MERGED
from .verifying.files import added, manifest_problems, small_problems, weight_problems
from .verifying.recompute import recomputed
from .verifying.structure import structure_problems
from .verifying.tensors import tensor_problems


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of an output.

    Attributes:
        path: the output.
        tensors, bytes: that it should have.
        problems: what is not as it was written, in sentences.
        unverifiable: what cannot be told, because it was written without digests.
        notes: what a user should know, and no problem.
        non_finite: whether NaN and infinity were allowed when it was merged.
        amended: how many tensors were changed after the merge, as batch-norm statistics that were
            estimated again; a repeated merge says what they were before, and no more.
    """

    path: Path
    tensors: int
    bytes: int
    problems: tuple[str, ...]
    unverifiable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    non_finite: bool = False
    amended: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything was checked, and is as it was written."""
        return not self.problems and not self.unverifiable


def verify(
    path: str | Path,
    *,
    recompute: bool = False,
    inputs: str | Path | None = None,
    progress: Progress | Bar | None = None,
) -> Verified:
    """Check an output against its manifest; with `recompute` repeat the merge and compare.

    Every file: weights by size, header and recorded SHA-256, every tensor by BLAKE3 and
    finiteness, small files and merge.json by BLAKE3, and what was added beside them. A recompute
    reads the inputs where they lay as seen from the output, or in the folder `inputs`, and compares
    bytes, digests of the inputs, methods and seed. `progress` is called as both go on; "bar" shows
    a bar of tqdm's.

    Raises:
        OutputError: there is no output of stockpot at `path`, or its merge cannot be repeated.
    """
    out, manifest, progress = Path(path), read_manifest(Path(path)), bar_for(progress)
    problems, notes = _of_files(out, manifest)
    weights = [*manifest["output"]["files"], *files_of_extras(manifest)]
    damaged, written, extras = weight_problems(out, weights), None, None
    if not damaged:
        try:
            written, extras = _read(out, manifest), read_extras(out, manifest)
        except CheckpointError as error:
            damaged = [str(error)]
    problems += damaged
    if written is not None:
        problems += tensor_problems(written, extras, manifest, progress)
        if out.suffix != ".safetensors":
            problems += structure_problems(out, written)
        if recompute:
            where = None if inputs is None else Path(inputs)
            found, said = recomputed(manifest, out, _joined(written, extras), where, progress)
            problems, notes = problems + found, notes + said
    unverifiable = [] if recompute and not problems else _without_digests(manifest)
    return Verified(
        path=out,
        tensors=len(manifest["tensors"]),
        bytes=0 if written is None else _joined(written, extras).nbytes,
        problems=tuple(problems),
        unverifiable=tuple(unverifiable),
        notes=tuple(notes),
        non_finite=bool(manifest.get("allow_non_finite", False)),
        amended=_amended(manifest),
    )


def _of_files(out: Path, manifest: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Problems and notes of everything but the weights."""
    output, early = manifest["output"], manifest["format"] == 1
    problems, notes = manifest_problems(out, manifest), list[str]()
    if out.suffix != ".safetensors":
        small = output.get("small", {})
        weights = (*output["files"], *files_of_extras(manifest))
        names = {*small, *(file["name"] for file in weights), manifest_path(out).name}
        problems += small_problems(out, small)
        wrong, others = added(out, frozenset(names), all_known=not early)
        problems, notes = problems + wrong, notes + others
    if count := _amended(manifest):
        notes.append(_of_amended(count, manifest))
    if early:
        notes.append(
            "an earlier version wrote it, without digests of small files: whether they are as "
            "written cannot be told."
        )
    if was_interrupted(out):
        problems.append(
            "the commit was interrupted: merge.json is new, and the weights are not in place. Run "
            "the merge again with --resume."
        )
    return problems, notes


def _read(out: Path, manifest: Mapping[str, Any]) -> Checkpoint:
    """The tensors of the files that were written; what was added beside them plays no part."""
    names = [file["name"] for file in manifest["output"]["files"]]
    paths = [out] if out.suffix == ".safetensors" else [out / name for name in names]
    parts = [read_safetensors(FileSource(path)) for path in paths]
    entries = {name: entry for part in parts for name, entry in part.entries.items()}
    return Checkpoint(str(out), entries)


def _joined(written: Checkpoint, extras: Checkpoint | None) -> Checkpoint:
    """The merged tensors, and what the method gave beside them."""
    if extras is None:
        return written
    return replace(written, entries={**written.entries, **extras.entries})


def _amended(manifest: Mapping[str, Any]) -> int:
    return sum(MERGED in told for told in manifest["tensors"].values())


def _of_amended(count: int, manifest: Mapping[str, Any]) -> str:
    told: object = manifest.get("reestimated")
    given = cast(dict[str, object], told) if isinstance(told, dict) else {}
    how = {key: shown(given.get(key)) for key in ("samples", "data", "seed")}
    return (
        f"{count} tensors hold batch-norm statistics that were estimated again after the merge, on "
        f"{how['samples']} training samples of {how['data']}, seed {how['seed']}. Their bytes are "
        "checked; --recompute repeats the merge and not the estimation: stockpot reestimate does, "
        "with the same network and data."
    )


def _without_digests(manifest: Mapping[str, Any]) -> list[str]:
    if manifest.get("digest", "none") != "none":
        return []
    return [
        "its weights have no digests, for it was merged with --digest none: whether they are as "
        "written cannot be told. verify --recompute compares them with the repeated merge."
    ]
