"""The merge of an output once more, compared with what is there and with what was told of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ...checkpoints.entry import Checkpoint
from ...checkpoints.formats.untrusted import listed, shown
from ...checkpoints.writing.manifest import Members, manifest_path
from ...errors import OutputError, StockpotError
from ...recipes.published import renamed
from ...recipes.reading.recipe import parse_recipe
from ...values.result import Progress
from ...views.models import PLUS
from ..driver import Run
from ..evidence import MERGED, manifest_of
from ..options import Options
from ..prepare import prepare
from ..sinks import CompareSink
from ..tasks.devices import device_for

_OF_A_TENSOR = ("role", "method", "weights", "view", "joined", "digest", "parts")


def recomputed(
    manifest: Mapping[str, Any],
    out: Path,
    written: Checkpoint,
    inputs: Path | None,
    progress: Progress | None,
) -> tuple[list[str], list[str]]:
    """Repeat the merge and compare bytes, and what merge.json says of method, seed and inputs.

    Of a tensor that was changed after the merge the digest that it had before is compared.

    Problems, and notes: that the code of a method of the user's changed is a problem where anything
    else comes out than before.

    Args:
        manifest: of the output.
        out: where the output stands.
        written: its tensors, and what the method gave beside them.
        inputs: a folder in which the inputs lie now; None where they lie as they did.
        progress: called as bytes are moved.

    Raises:
        OutputError: the inputs are not there, or cannot be merged so.
    """
    try:
        recipe = parse_recipe(_recipe(manifest, out, inputs), f"the recipe of {out}")
        options = Options(
            allow_non_finite=True,
            device=manifest["device"],
            key=manifest["key"],
            digest=manifest.get("digest", "none"),
        )
        prepared = prepare(recipe, options, None)
    except StockpotError as error:
        raise OutputError(f"the merge of {out} cannot be repeated: {error}") from None
    sink = CompareSink(written)
    run = Run(
        prepared.plan,
        sink,
        seed=recipe.seed,
        digests=options.digest != "none",
        device=device_for(options.torch_device),
        allow_non_finite=True,
        progress=progress,
    )
    run.execute()
    different = sink.different - {n for n, told in manifest["tensors"].items() if MERGED in told}
    problems = [f"{shown(n)} differs from the repeated merge." for n in sorted(different)]
    made = prepared.assignments.tensors
    names = [*(a.name for a in made), *(placed.key for a in made for placed in a.extras)]
    missing = sorted(name for name in names if name not in written.entries)
    if missing:
        problems.append(f"the repeated merge has {listed(missing)}, which is not there.")
    repeated = manifest_of(prepared, out, "", run, {}, {})
    name = manifest_path(out).name
    problems += [f"{name} {what}" for what in _differences(manifest, repeated)]
    changed = list(_changes_of_code(manifest.get("code", []), repeated.get("code", [])))
    return ([*changed, *problems], []) if problems else ([], changed)


def _changes_of_code(told: Any, found: Any) -> Iterator[str]:
    """Methods that are not stockpot's whose module is no longer the one that was used."""
    now = {one["method"]: one for one in found}
    for was in told:
        one = now.get(was["method"], {})
        if one.get("blake3") != was.get("blake3") or one.get("package") != was.get("package"):
            before, after = _version(was), _version(one)
            yield (
                f"the method's code changed: {shown(was['method'])} was merged with {before}, and "
                f"is {after} now."
            )


def _version(code: Mapping[str, str]) -> str:
    """Which code it is, in words."""
    package = f" of {code['package']}" if "package" in code else ""
    if "blake3" not in code:
        return f"code without a file{package}"
    return f"{code['source']}{package} (blake3 {code['blake3'][:12]})"


def _recipe(manifest: Mapping[str, Any], out: Path, inputs: Path | None) -> dict[str, Any]:
    """The recipe with the paths at which its models lie now."""
    if manifest["format"] == 1:
        return manifest["recipe"]  # with paths as they were typed
    folder = (out.parent if out.suffix == ".safetensors" else out).resolve()
    parts = [part for told in manifest["inputs"] for part in told.get("parts", (told,))]
    places = {told["name"]: _place(told, folder, inputs) for told in parts}
    try:
        return renamed(manifest["recipe"], lambda name: _placed(name, places))
    except (KeyError, TypeError, AttributeError):
        raise OutputError("its recipe names a model that is not among its inputs.") from None


def _placed(name: str, places: Mapping[str, str]) -> str:
    """Where a model lies by its name; of `base+adapter` where each of them lies."""
    if name in places:
        return places[name]
    for first in places:
        if name.startswith(first + PLUS):
            return places[first] + PLUS + _placed(name.removeprefix(first + PLUS), places)
    raise KeyError(name)


def _place(told: Mapping[str, Any], folder: Path, inputs: Path | None) -> str:
    """Where an input lies: of the places where it may be, the first whose files have its sizes."""
    name = str(told["name"])
    last = Path(name).name
    there = [] if told["path"] is None else [(folder / told["path"]).resolve()]
    if inputs is not None:
        there = [inputs / name, inputs / last, *([inputs] if inputs.name == last else [])]
    fitting = [one for one in there if _fits(one, told)] or [one for one in there if one.exists()]
    if fitting:
        return str(fitting[0])
    if not there:
        raise OutputError(f"where {name} lies is not known: pass --inputs DIR, its folder.")
    raise OutputError(
        f"{there[0]} does not exist: pass --inputs DIR, the folder in which {name} lies now."
    )


def _fits(place: Path, told: Mapping[str, Any]) -> bool:
    sizes = {file["name"]: file["bytes"] for file in told["files"]}
    if place.is_file():
        return [place.stat().st_size] == list(sizes.values())
    return all(
        (place / name).is_file() and (place / name).stat().st_size == size
        for name, size in sizes.items()
    )


def _differences(manifest: Mapping[str, Any], repeated: Mapping[str, Any]) -> Iterator[str]:
    """What merge.json says that the repeated merge does not bear out."""
    for key in ("seed", "methods"):
        if key in manifest and manifest[key] != repeated[key]:
            was, now = shown(manifest[key]), shown(repeated[key])
            yield f"says {key} {was}; the repeated merge has {now}."
    if manifest["format"] > 1:
        yield from _of_inputs(manifest["inputs"], cast(list[Any], repeated["inputs"]))
    names = [str(told.get("name", told["path"])) for told in manifest.get("inputs", ())]
    tensors = dict(cast(Members, repeated["tensors"]).pairs)
    yield from _of_tensors(manifest["tensors"], tensors, names)
    extras = dict(cast(Members, repeated.get("extras", Members(()))).pairs)
    told: Mapping[str, Any] = manifest.get("extras", {})
    if other := sorted(name for name in {*told, *extras} if told.get(name) != extras.get(name)):
        yield f"tells of {listed(other)} another digest or tensor than the repeated merge."


def _of_inputs(told: list[Any], found: list[Any]) -> Iterator[str]:
    if len(told) != len(found):
        yield f"says {len(told)} inputs; the repeated merge has {len(found)}."
    for was, now in zip(told, found, strict=False):
        files = [file["name"] for file in was["files"] if file not in now["files"]]
        if files or was["bytes"] != now["bytes"]:
            yield f"says other sizes or headers of the input {was['name']}: {listed(files)}."


def as_merged(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What merge.json tells of a tensor with the digest that it had when it was merged."""
    return {**told, "digest": told[MERGED]} if MERGED in told else told


def _of_tensors(
    told: Mapping[str, Any], found: Mapping[str, Any], names: list[str]
) -> Iterator[str]:
    """By input, whose tensors are others now; and tensors that were merged in another way."""
    changed: dict[str, list[str]] = {}
    otherwise: list[str] = []
    for name in told.keys() & found.keys():
        was, now = as_merged(told[name]), found[name]
        if any(was.get(key) != now.get(key) for key in _OF_A_TENSOR):
            otherwise.append(name)
        before, after = was.get("from"), cast(list[tuple[int, str]], now["from"])
        if not isinstance(before, list) or len(cast(list[object], before)) != len(after):
            otherwise.append(name)
            continue
        for one, (owner, digest) in zip(cast(list[object], before), after, strict=True):
            if one != [owner, digest]:
                model = names[owner] if owner < len(names) else "another input"
                changed.setdefault(model, []).append(name)
    for model, tensors in changed.items():
        yield f"has other digests of {listed(sorted(tensors))} of the input {model}."
    if otherwise:
        which = listed(sorted(set(otherwise)))
        yield f"tells of {which} another digest or merge than the repeated one."
