"""The flags that every command which merges shares, as one dataclass that becomes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import Group, Parameter

from ...engine.options import Options
from ...errors import FieldError
from ..flags import Device, Flag, Json, Many, Quiet, Workers


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """How the merge runs.

    Attributes:
        memory: Budget, such as 512MiB or 8GiB, above the libraries; exceeded by 64 MiB at most.
        dtype: Of the float tensors written; same keeps what the inputs have.
        shard_size: Largest file of an output directory.
        seed: Of methods that draw at random.
        only: Glob on tensor names to merge; the rest is copied. Repeatable.
        copy: PATTERN=MODEL copies matching tensors from that model, or from base. Repeatable.
        missing: What to do with a tensor that not every model has.
        files_from: Model whose configuration, tokenizer and templates the output gets.
        allow_different_configs: Merge also where configurations or tokenizers differ in meaning.
        digest: BLAKE3 per tensor, with SHA-256 of whole files, or none.
        key: Which nested dictionary of a torch file is the state dict: KEY for every file, or
            MODEL=KEY for one (a path, a number from 0, or base). Repeatable.
        resume: Continue an unfinished output.
        overwrite: Replace an earlier output of stockpot at the output's path, and that alone.
        allow_non_finite: Let NaN and infinity through.
        dry_run: Show the plan and write nothing.
    """

    memory: str = "2GiB"
    workers: Workers = None
    device: Device = "auto"
    dtype: Literal["same", "float32", "bfloat16", "float16"] | None = None
    shard_size: str | None = None
    seed: int | None = None
    only: Many = ()
    copy: Many = ()
    missing: Literal["error", "base", "present"] | None = None
    files_from: str | None = None
    allow_different_configs: Flag = False
    digest: Literal["blake3", "sha256", "none"] = "blake3"
    key: Many = ()
    resume: Flag = False
    overwrite: Flag = False
    allow_non_finite: Flag = False
    dry_run: Flag = False
    json: Json = False
    quiet: Quiet = False

    def options(self, progress: Any = None) -> Options:
        """The run's options."""
        return Options(
            memory=self.memory,
            workers=self.workers,
            device=self.device,
            digest=self.digest,
            resume=self.resume,
            overwrite=self.overwrite,
            allow_non_finite=self.allow_non_finite,
            key=plain_key(self.key),
            progress=progress,
        )

    def onto(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """A recipe in plain values with what these flags say on top of it."""
        output = dict(recipe.get("output") or {})
        for key in ("dtype", "shard_size", "files_from"):
            value = getattr(self, key)
            if value is not None:
                output[key] = value
        changed = recipe | ({"output": output} if output else {})
        for key, value in (("seed", self.seed), ("missing", self.missing)):
            if value is not None:
                changed[key] = value
        if self.allow_different_configs:
            changed["allow_different_configs"] = True
        for text in self.key:
            if "=" in text:
                changed |= _with_key(changed, text)
        if self.only:
            changed["only"] = [*(recipe.get("only") or []), *self.only]
        if self.copy:
            changed["rules"] = [*map(_copy_rule, self.copy), *(recipe.get("rules") or [])]
        return changed


def plain_key(given: Sequence[str]) -> str | None:
    """The key that holds for every file; None where there is none."""
    plain = [key for key in given if "=" not in key]
    if len(plain) > 1:
        raise FieldError(f"--key: two keys for every file, '{plain[0]}' and '{plain[1]}'.")
    return plain[0] if plain else None


def key_of(given: Sequence[str], model: str) -> str | None:
    """The key of one file among several, each named by its path."""
    own = [text for text in given if text.rpartition("=")[0] == model]
    return own[0].rpartition("=")[2] if own else plain_key(given)


def _with_key(recipe: dict[str, Any], text: str) -> dict[str, Any]:
    """The part of a recipe in plain values that changes by `MODEL=KEY`."""
    model, _, key = text.rpartition("=")
    if model == "base" and recipe.get("base") is not None:
        return {"base": _keyed(recipe["base"], key)}
    models = cast(list[object], recipe.get("models") or [])
    paths = [_keyed(one, key)["path"] for one in models]
    chosen = [n for n, path in enumerate(paths) if path == model]
    if not chosen and model.isascii() and model.isdigit() and int(model[:9]) < len(models):
        chosen = [int(model)]
    if not chosen or not key:
        raise FieldError(
            f"--key takes KEY or MODEL=KEY, where MODEL is a model's path or number, or base; got "
            f"'{text[:80]}'."
        )
    return {"models": [_keyed(one, key) if n in chosen else one for n, one in enumerate(models)]}


def _keyed(one: object, key: str) -> dict[str, object]:
    """A model in plain values, a path or a mapping, with its key."""
    given = cast(dict[str, object], one) if isinstance(one, dict) else {"path": one}
    return {"path": None, **given, "key": key}


def _copy_rule(text: str) -> dict[str, str]:
    pattern, equals, model = text.rpartition("=")
    if not equals or not pattern or not model:
        raise FieldError(f"--copy takes PATTERN=MODEL, such as '*.embed*=base'; got '{text[:80]}'.")
    return {"match": pattern, "copy": model}


Out = Annotated[Path, Parameter(help="A .safetensors file, or a directory in the hub's layout.")]
Run = Annotated[RunFlags, Parameter(group=Group("How it runs", sort_key=2))]
