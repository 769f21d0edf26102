"""The flags that every command which merges shares, as one dataclass that becomes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from ..engine.options import Options
from ..errors import FieldError

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Many = Annotated[tuple[str, ...], Parameter(negative="", n_tokens=1, show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """How the merge runs.

    Attributes:
        memory: Budget, such as 512MiB or 8GiB, above the libraries; exceeded by 64 MiB at most.
        workers: Threads; by default one per core, at most eight.
        device: Where blocks are computed.
        dtype: Of the float tensors written; same keeps what the inputs have.
        shard_size: Largest file of an output directory.
        seed: Of methods that draw at random.
        only: Glob on tensor names to merge; the rest is copied. Repeatable.
        copy: PATTERN=MODEL copies matching tensors from that model, or from base. Repeatable.
        missing: What to do with a tensor that not every model has.
        digest: BLAKE3 per tensor, with SHA-256 of whole files, or none.
        key: Which nested dictionary of a torch file is the state dict.
        resume: Continue an unfinished output.
        overwrite: Replace what stands at the output's path.
        allow_non_finite: Let NaN and infinity through.
        dry_run: Show the plan and write nothing.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """

    memory: str = "2GiB"
    workers: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["same", "float32", "bfloat16", "float16"] | None = None
    shard_size: str | None = None
    seed: int | None = None
    only: Many = ()
    copy: Many = ()
    missing: Literal["error", "base", "present"] | None = None
    digest: Literal["blake3", "sha256", "none"] = "blake3"
    key: str | None = None
    resume: Flag = False
    overwrite: Flag = False
    allow_non_finite: Flag = False
    dry_run: Flag = False
    json: Flag = False
    quiet: Flag = False

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
            key=self.key,
            progress=progress,
        )

    def onto(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """A recipe in plain values with what these flags say on top of it."""
        output = dict(recipe.get("output") or {})
        for key, value in (("dtype", self.dtype), ("shard_size", self.shard_size)):
            if value is not None:
                output[key] = value
        changed = recipe | ({"output": output} if output else {})
        for key, value in (("seed", self.seed), ("missing", self.missing)):
            if value is not None:
                changed[key] = value
        if self.only:
            changed["only"] = [*(recipe.get("only") or []), *self.only]
        if self.copy:
            changed["rules"] = [*map(_copy_rule, self.copy), *(recipe.get("rules") or [])]
        return changed


def _copy_rule(text: str) -> dict[str, str]:
    pattern, equals, model = text.rpartition("=")
    if not equals or not pattern or not model:
        raise FieldError(f"--copy takes PATTERN=MODEL, such as '*.embed*=base'; got '{text[:80]}'.")
    return {"match": pattern, "copy": model}


Out = Annotated[Path, Parameter(help="A .safetensors file, or a directory in the hub's layout.")]
Run = Annotated[RunFlags, Parameter(group=Group("How it runs", sort_key=2))]
