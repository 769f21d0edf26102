"""A model with a PEFT LoRA adapter on it."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ...checkpoints.adapter import CONFIG
from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import listed, parse_config, shown
from ...errors import CheckpointError
from ...values.fields import nearest
from ..sources.product import Matrix, product
from ..view import View, with_entries

PREFIX = "base_model.model."
"""What PEFT puts before the names of the network."""
FACTOR = re.compile(
    r"(?P<module>.+)\.lora_"
    r"(?:(?P<side>[AB])(?:\.\w+)?\.weight|embedding_(?P<of_rows>[AB])(?:\.\w+)?)"
)
SAVED = re.compile(r"\.modules_to_save(?:\.\w+)?(?=\.\w+$)|\.base_layer(?=\.\w+$)")
"""What PEFT leaves inside the names of tensors that it saves whole."""
READ = ("peft_type", "r", "lora_alpha", "use_rslora", "fan_in_fan_out", "init_lora_weights", "bias")
"""Keys of a configuration that say how the factors are added."""
WITHOUT_EFFECT = (
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "megatron_core",
    "modules_to_save",
    "parent_library",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
)
"""Keys that change nothing of what is added; any other that is set is refused by name."""
RESIDUAL = ("pissa", "olora", "corda", "loftq")
"""Starts for which PEFT changes the base itself."""
UNLOAD = (
    "merge it into its base with peft's merge_and_unload(), save that, and name what that saves"
)


@dataclass(frozen=True, slots=True)
class Adapted(View):
    """A model with a LoRA adapter in PEFT's layout on it: `W + scale · B A`.

    scale is lora_alpha / r, or lora_alpha / √r with use_rslora. B is [out, r] and A [r, in]; of a
    convolution both are taken as matrices of their rows; where W is stored [in, out], as GPT-2 has
    it (fan_in_fan_out), and of an embedding, (B A)ᵀ is added. Each element is computed in float64
    and rounded once, to float32, and to the stored dtype when it is written; PEFT's own merge
    rounds to the stored dtype before anything is merged. What the adapter saves whole
    (modules_to_save) is taken whole. Anything else, such as DoRA or a rank for each module, is
    refused by name.

    Args:
        adapter: the adapter's directory.

    Source: Hu et al., LoRA, arXiv:2106.09685; Kalajdzievski, rank stabilised, arXiv:2312.03732.
    """

    beside_fields = ("adapter",)

    adapter: str | None = None

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The model with the adapter on it.

        Args:
            checkpoint: the model that the adapter was trained on.
            others: one: the adapter, as `stockpot.checkpoints.adapter.read_adapter` gives it.

        Raises:
            CheckpointError: the adapter is of a kind that is not added here, or does not fit the
                model.
        """
        self.expect_beside(checkpoint, others, 1)
        (adapter,) = others
        lora = Lora.of(adapter)
        factors, saved = _sorted(adapter)
        changed = dict(_taken_whole(checkpoint, adapter, saved))
        for module, (a, b) in factors.items():
            name = f"{module}.weight"
            if name not in checkpoint.entries:
                raise _not_there(checkpoint, adapter, name, "changes")
            changed[name] = lora.on(
                changed.get(name, checkpoint.entries[name]), b, a, adapter.label
            )
        whole = f", {len(saved)} taken whole" if saved else ""
        note = (
            f"{adapter.label}: {lora.scale:g} · B A (r {lora.rank}, lora_alpha {lora.alpha:g}) on "
            f"{len(factors)} tensors of {checkpoint.label}{whole}."
        )
        seen = with_entries(checkpoint, changed, adapter)
        return replace(seen, notes=(*seen.notes, note))


@dataclass(frozen=True, slots=True)
class Lora:
    """What an adapter's configuration says of how its factors are added."""

    rank: int
    alpha: float
    scale: float
    stored_in_out: bool

    @classmethod
    def of(cls, adapter: Checkpoint) -> "Lora":
        """Read and judge the configuration.

        Raises:
            CheckpointError: it is of another kind than plain LoRA.
        """
        config = parse_config(adapter.metadata.get(CONFIG, "{}").encode(), adapter.label)
        if config.get("peft_type") != "LORA":
            raise _unlike(adapter, f"of the kind {shown(config.get('peft_type'))}")
        known = (*READ, *WITHOUT_EFFECT)
        unknown = [key for key, value in config.items() if value and key not in known]
        unknown += ["bias"] * (config.get("bias", "none") not in ("none", None))
        start = config.get("init_lora_weights")
        if isinstance(start, str) and start.startswith(RESIDUAL):
            unknown.append("init_lora_weights")
        if unknown:
            raise _unlike(adapter, f"with {unknown[0]}: {shown(config[unknown[0]])}")
        rank, alpha = _number(config.get("r")), _number(config.get("lora_alpha"))
        if rank is None or alpha is None or rank < 1 or not rank.is_integer():
            raise CheckpointError(
                f"{CONFIG} of {adapter.label} must have r, a whole number, and lora_alpha, a "
                f"number; got {shown(config.get('r'))} and {shown(config.get('lora_alpha'))}."
            )
        by = math.sqrt(rank) if config.get("use_rslora") else rank
        return cls(int(rank), alpha, alpha / by, bool(config.get("fan_in_fan_out")))

    def on(
        self, base: TensorEntry, left: TensorEntry, right: TensorEntry, label: str
    ) -> TensorEntry:
        """The base's tensor with B A added; left is B, right A.

        Raises:
            CheckpointError: the factors do not fit it.
        """
        b, a, matrix = _matrix(left), _matrix(right), _matrix(base)
        if a.rows != self.rank:
            raise CheckpointError(
                f"{shown(right.name)} in {label} has rank {a.rows}; {CONFIG} says r {self.rank}. "
                f"A rank for each module is not applied here: {UNLOAD}."
            )
        shape, floats = (matrix.rows, matrix.columns), (base, left, right)
        fits = b.columns == self.rank and all(one.dtype.is_floating_point for one in floats)
        straight = fits and (b.rows, a.columns) == shape
        turned = fits and len(base.shape) == 2 and (a.columns, b.rows) == shape
        is_embedding = "lora_embedding_" in right.name
        if turned and (is_embedding or self.stored_in_out or not straight):
            return product(base, a.transposed, b.transposed, self.scale, base.shape)
        if not straight:
            raise CheckpointError(
                f"{shown(base.name)} is {base.dtype} {base.shape}; the factors of {label} are B "
                f"{left.shape} and A {right.shape}, which do not fit: name the model that the "
                "adapter was trained on."
            )
        return product(base, b, a, self.scale, base.shape)


def _number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _matrix(entry: TensorEntry) -> Matrix:
    rows = entry.shape[0] if entry.shape else 1
    return Matrix(entry, rows, entry.numel // max(rows, 1))


def _unlike(adapter: Checkpoint, what: str) -> CheckpointError:
    return CheckpointError(
        f"{adapter.label} is a PEFT adapter {what}; plain LoRA is added here, and nothing else "
        f"yet: {UNLOAD}."
    )


def _not_there(
    checkpoint: Checkpoint, adapter: Checkpoint, name: str, does: str
) -> CheckpointError:
    return CheckpointError(
        f"{adapter.label} {does} {shown(name)}, which {checkpoint.label} does not have"
        f"{nearest(name, checkpoint.entries)} Name the model that it was trained on, under the "
        "names that it had then."
    )


def _taken_whole(
    checkpoint: Checkpoint, adapter: Checkpoint, saved: Mapping[str, TensorEntry]
) -> Iterator[tuple[str, TensorEntry]]:
    """Tensors that the adapter has in place of the model's, stored as the model's are."""
    for name, entry in saved.items():
        own = checkpoint.entries.get(name)
        if own is None:
            raise _not_there(checkpoint, adapter, name, "holds")
        stored = own.stored_dtype if own.stored_dtype != entry.dtype else None
        yield name, replace(entry, name=name, stored=stored, made_of=(entry,))


def _sorted(
    adapter: Checkpoint,
) -> tuple[dict[str, tuple[TensorEntry, TensorEntry]], dict[str, TensorEntry]]:
    """By module its factors A and B; and by name what is saved whole."""
    sides = dict[str, dict[str, TensorEntry]]()
    whole = dict[str, TensorEntry]()
    for name, entry in adapter.entries.items():
        bare = name.removeprefix(PREFIX)
        if match := FACTOR.fullmatch(bare):
            side = match["side"] or match["of_rows"]
            sides.setdefault(match["module"], {})[side] = entry
        elif "lora_" in bare:
            raise _unlike(adapter, f"with {shown(name)}")
        else:
            whole[SAVED.sub("", bare)] = entry
    halves = [
        f"{module}.lora_{'B' if 'A' in s else 'A'}" for module, s in sides.items() if len(s) < 2
    ]
    if halves:
        raise CheckpointError(f"{adapter.label} lacks {listed(halves)}, and has its other factor.")
    if not sides and not whole:
        raise CheckpointError(f"{adapter.label} holds no factors.")
    return {module: (s["A"], s["B"]) for module, s in sides.items()}, whole
