"""What stands at PATH, and whether it may be replaced: looked at before the work and after it."""

import os
import stat
from pathlib import Path

from ...errors import OutputError
from ..formats.untrusted import listed
from .manifest import manifest_path, read_manifest

_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


def replaceable(path: Path, *, overwrite: bool, fingerprint: str | None) -> frozenset[str]:
    """What stands at an output's path and may be replaced; empty where nothing is in the way.

    An empty directory counts as nothing.

    Args:
        path: the output: a .safetensors file, or a directory.
        overwrite: whether the user lets an earlier output be replaced.
        fingerprint: of a merge that is resumed; a sidecar of its own is what a kill in the commit
            left, and may be replaced.

    Returns:
        Of a file its name and that of its sidecar, as far as they stand there; of a directory the
        files within it, all of which its own manifest lists.

    Raises:
        OutputError: something stands there that may not be replaced.
    """
    if path.suffix == ".safetensors":
        sidecar = manifest_path(path)
        there = [one for one in (path, sidecar) if _mode(one) is not None]
        for one in there:
            _refuse_unless(stat.S_IFREG, one)
        own = fingerprint is not None and path not in there and _is_of(path, fingerprint)
        if there and not overwrite and not own:
            raise _exists(there[0])
        return frozenset(one.name for one in there)
    if _mode(path) is None:
        return frozenset()
    _refuse_unless(stat.S_IFDIR, path)
    if not any(path.iterdir()):
        return frozenset()
    if not overwrite:
        raise _exists(path)
    return _all_listed(path)


def strangers(directory: Path, known: frozenset[str]) -> list[str]:
    """What a directory holds beside the files of those names, by path within it."""
    parents = {parent.as_posix() for name in known for parent in Path(name).parents}
    found: list[str] = []
    for folder, folders, files in os.walk(directory):
        inside = Path(folder).relative_to(directory)
        for name in folders:
            here = (inside / name).as_posix()
            if here not in parents or (directory / here).is_symlink():
                found.append(here + "/")
        folders[:] = [name for name in folders if f"{(inside / name).as_posix()}/" not in found]
        found += [here for name in files if (here := (inside / name).as_posix()) not in known]
    return sorted(found)


def _all_listed(directory: Path) -> frozenset[str]:
    if _mode(manifest_path(directory)) is None:
        raise OutputError(
            f"{directory} was not written by stockpot, for it has no merge.json, and --overwrite "
            "would delete all that it holds: name another --out, or empty it yourself."
        )
    manifest = read_manifest(directory)
    output = manifest["output"]
    weights = (*output["files"], *output.get("extras", ()))
    known = {str(file["name"]) for file in weights} | {*output.get("small", {})}
    names = frozenset(known | {manifest_path(directory).name})
    if others := strangers(directory, names):
        raise OutputError(
            f"{directory} holds {listed(others)}, which its merge.json does not list: --overwrite "
            "would delete that. Move it away, or name another --out."
        )
    return names


def _is_of(path: Path, fingerprint: str) -> bool:
    try:
        return read_manifest(path)["fingerprint"] == fingerprint
    except OutputError:
        return False


def _mode(path: Path) -> int | None:
    """What kind of thing has that name, links not followed; None where nothing has."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path} cannot be looked at: {error.strerror}.") from None


def _refuse_unless(wanted: int, path: Path) -> None:
    mode = _mode(path)
    if mode in (None, wanted):
        return
    if mode == stat.S_IFLNK:
        raise OutputError(
            f"{path} is a link to {os.fspath(path.readlink())}: an output replaces neither a link "
            "nor what it leads to. Name another --out, or remove the link."
        )
    words = {stat.S_IFREG: "a file", stat.S_IFDIR: "a directory", **_KINDS}
    what = "a device" if mode in _DEVICES else words.get(mode, "neither file nor directory")
    raise OutputError(f"{path} is {what}, which an output does not replace: name another --out.")


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path} exists: pass --overwrite to replace it, or another --out.")
