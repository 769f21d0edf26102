"""A recipe: what is merged with what, as its YAML writes it; checked and frozen.

Whatever is wrong reaches the user as a FieldError that says where in the recipe and what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from ...errors import FieldError
from ...methods.catalogue import plain_method
from ...values.bounds import Seed, Text
from ...values.family import plain_value
from ...values.fields import nearest
from ...values.from_plain_data import read_at
from ...values.section import Section
from ...views import Renamed, View
from ...views.models import label_of
from ..decay import Decay, DecayEntry, decay_weights, refuse_wrong_order
from .entries import CopyEntry, MethodEntry, RenameEntry, RoleEntry, SizeEntry, ViewsEntry
from .kinds import refuse_other
from .layers import check_layers
from .searching import AxisEntry, Searched, space_of
from .sizes import format_size
from .yaml import read_yaml

BASE_KEY, BASE_VIEWS, STACK = "base.key", "base.view", "layers.stack"
"""Where the key and the views of `base: {path, key, view}` and the stack of `layers: {stack, ...}`
are kept; no names of keys that a recipe may have."""
Missing = Literal["error", "base", "present"]
OutputDtype = Literal["same", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient(Section):
    """A model that goes into the merge: its path, and its raw weight (1 where it is not given).

    Where the method needs statistics of the model's data, the path of these. Where a torch file
    nests several dictionaries, the key of the state dict. It may be seen under other names
    (`rename`), and through views (`view`: one, or a list, the first one first; after `rename`).
    """

    @classmethod
    def rewritten(cls, data: object) -> object:
        """A word alone is its `path`."""
        return {"path": data} if isinstance(data, str) else data

    path: Text
    weight: float | None = None
    statistics: Text | None = None
    key: Text | None = None
    rename: RenameEntry | None = None
    view: ViewsEntry = ()

    @property
    def views(self) -> tuple[View, ...]:
        """What it is seen through, the first one first."""
        return self.view if self.rename is None else (self.rename, *self.view)

    @property
    def label(self) -> str:
        """What messages call it."""
        return label_of(self.path, self.views)

    def plain(self) -> dict[str, Any]:
        """The entry in plain values."""
        apart = ("rename", "view")
        given = {key: one for key, one in Section.plain(self).items() if one is not None}
        plain = {key: one for key, one in given.items() if key not in apart}
        return plain | _plain_views(self.rename, self.view)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Section):
    """What happens to some tensors: those whose name matches a glob, or those of a role."""

    match: Text | None = None
    role: RoleEntry | None = None
    method: MethodEntry | None = None
    copy_from: CopyEntry | None = field(default=None, metadata={"key": "copy"})

    def check(self) -> None:
        """Refuse what does not go together."""
        if (self.match is None) == (self.role is None):
            raise FieldError("needs exactly one of match and role.")
        if (self.method is None) == (self.copy_from is None):
            raise FieldError("needs exactly one of method and copy.")

    def __str__(self) -> str:
        return f"match '{self.match}'" if self.role is None else f"role '{self.role}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Section):
    """What is written: the dtype of float tensors, and the largest file of a directory.

    `files_from` names the model whose configuration, tokenizer and templates the output gets.
    """

    dtype: OutputDtype = "same"
    shard_size: SizeEntry = 5 * 10**9
    files_from: CopyEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Section):
    """What is merged with what.

    Attributes:
        method: the method of every tensor that no rule and no fixed policy decides.
        base: what the models were fine-tuned from; its path, or a mapping of path, key, rename and
            view.
        models: the ingredients, in order.
        decay: weights of checkpoints of one run, oldest first, that stand for a decay of the
            learning rate; in place of weights.
        rules: exceptions; the first that matches a tensor wins.
        layers: fields of `method` that run over the depth of the network; `stack` among them names
            the series of blocks where the network has several.
        output: dtype and file size.
        seed: of methods that draw at random.
        missing: what to do with a tensor that not every model has: refuse, take the base's, or
            merge those that are present.
        only: globs; tensors that match none of them are copied from the base, else from the first
            model. Empty for all.
        allow_different_configs: merge also where configurations or tokenizers make other networks
            of the same tensors.
        search: axes of `stockpot search`; a merge does not look at them.
        searched: how weights and fields came about, in a recipe that a search has written.
    """

    method: MethodEntry
    models: tuple[Ingredient, ...]
    base: Text | None = None
    base_key: Text | None = field(default=None, metadata={"key": BASE_KEY})
    base_views: ViewsEntry = field(default=(), metadata={"key": BASE_VIEWS})
    decay: DecayEntry | None = None
    rules: tuple[Rule, ...] = ()
    layers: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    stack: Text | None = field(default=None, metadata={"key": STACK})
    output: Output = Output()
    seed: Seed = 0
    missing: Missing = "error"
    only: tuple[Text, ...] = ()
    allow_different_configs: bool = False
    search: Mapping[str, AxisEntry] = field(default_factory=dict[str, Any])
    searched: Searched | None = None

    @classmethod
    def rewritten(cls, data: object) -> object:
        """A base with its key, and layers with their stack, are two values each."""
        if not isinstance(data, Mapping):
            return data
        given = dict(cast(Mapping[object, object], data))
        refuse_other(given, "recipe")
        if hidden := [key for key in (BASE_KEY, BASE_VIEWS, STACK) if key in given]:
            raise FieldError(f"unknown key '{hidden[0]}'.")
        base, layers = given.get("base"), given.get("layers")
        if isinstance(base, Mapping):
            of_base = read_at("base", Ingredient, cast(object, base))
            if of_base.weight is not None or of_base.statistics is not None:
                raise FieldError("base: it has a path, a key, rename and view, and nothing else.")
            given |= {"base": of_base.path, BASE_KEY: of_base.key, BASE_VIEWS: of_base.views}
        if isinstance(layers, Mapping) and "stack" in layers:
            fields = dict(cast(Mapping[object, object], layers))
            given |= {STACK: fields.pop("stack"), "layers": fields}
        return given

    def check(self) -> None:
        """Refuse what does not go together."""
        if not self.models:
            raise FieldError("models needs at least one entry.")
        if self.missing == "base" and self.base is None:
            raise FieldError("missing: there is no base to take tensors from: pass --base.")
        if self.decay is not None:
            self._check_decay(self.decay)
        with_statistics = [model.statistics is not None for model in self.models]
        if any(with_statistics) and not all(with_statistics):
            missing = self.models[with_statistics.index(False)].path
            raise FieldError(f"models: {missing} has no statistics; others have.")
        check_layers(self.method, self.layers)
        if self.stack is not None and not self.layers:
            raise FieldError("layers: stack names blocks, and no field runs over them.")
        space_of(self.method, len(self.models), self.search)
        if both := [name for name in self.layers if name in self.search]:
            raise FieldError(f"search.{both[0]}: layers says already what it is.")
        for index, rule in enumerate(self.rules):
            if rule.copy_from is not None:
                self.copied_model(rule.copy_from, f"rules[{index}].copy")

    def _check_decay(self, decay: Decay) -> None:
        if any(model.weight is not None for model in self.models):
            raise FieldError("decay: it gives the weights of all models; leave weights out.")
        decay_weights(len(self.models), decay)
        refuse_wrong_order([model.path for model in self.models])

    @property
    def weights(self) -> tuple[float, ...] | None:
        """One raw weight per model, 1 where none is given; None where none is given at all."""
        if self.decay is not None:
            return decay_weights(len(self.models), self.decay)
        given = [model.weight for model in self.models]
        if all(weight is None for weight in given):
            return None
        return tuple(1.0 if weight is None else weight for weight in given)

    def copied_model(self, copy: str | int, where: str = "copy") -> int | Literal["base"]:
        """The index of the model that `copy` means, or 'base'.

        A path is looked up as it stands under `models`; a number, or a string of digits that is no
        path, is an index from 0.

        Raises:
            FieldError: it means none of the models, or the base where there is none.
        """
        if copy == "base":
            if self.base is None:
                raise FieldError(f"{where}: there is no base to copy from: pass --base.")
            return "base"
        paths = [model.path for model in self.models]
        if copy in paths:
            return paths.index(str(copy))
        if isinstance(copy, int) or (copy.isascii() and copy.isdigit() and len(copy) < 10):
            if 0 <= int(copy) < len(paths):
                return int(copy)
            raise FieldError(
                f"{where}: there is no model {copy}: indices run 0 to {len(paths) - 1}."
            )
        raise FieldError(
            f"{where}: there is no model '{copy[:80]}'{nearest(copy, ['base', *paths])}"
        )

    def resolved(self) -> dict[str, Any]:
        """All that decides the merge, in plain values; `parse_recipe` reads it back."""
        plain: dict[str, Any] = {"method": plain_method(self.method)}
        if self.base is not None:
            more = {} if self.base_key is None else {"key": self.base_key}
            more |= _plain_views(None, self.base_views)
            plain["base"] = {"path": self.base, **more} if more else self.base
        plain["models"] = [model.plain() for model in self.models]
        if self.decay is not None:
            plain["decay"] = self.decay if isinstance(self.decay, str) else list(self.decay)
        if self.rules:
            plain["rules"] = [_plain_rule(rule) for rule in self.rules]
        if self.layers:
            stack = {} if self.stack is None else {"stack": self.stack}
            fields = {name: list(values) for name, values in self.layers.items()}
            plain["layers"] = stack | fields
        size = format_size(self.output.shard_size)
        files = self.output.files_from
        plain["output"] = {
            "dtype": self.output.dtype,
            "shard_size": size,
            **({} if files is None else {"files_from": files}),
        }
        plain |= {"seed": self.seed, "missing": self.missing}
        if self.allow_different_configs:
            plain["allow_different_configs"] = True
        if self.only:
            plain["only"] = list(self.only)
        if self.searched is not None:
            plain["searched"] = self.searched.plain()
        return plain


def _plain_views(rename: Renamed | None, views: Sequence[View]) -> dict[str, Any]:
    plain: dict[str, Any] = {} if rename is None else {"rename": dict(rename.names)}
    return plain | ({"view": [plain_value(view) for view in views]} if views else {})


def _plain_rule(rule: Rule) -> dict[str, object]:
    plain: dict[str, object] = (
        {"match": rule.match} if rule.role is None else {"role": rule.role.value}
    )
    if rule.method is None:
        return plain | {"copy": rule.copy_from}
    return plain | {"method": plain_method(rule.method)}


def parse_recipe(data: object, origin: str = "") -> Recipe:
    """The recipe in plain `data`, as YAML or JSON gives it.

    Args:
        data: a mapping with the keys of `Recipe`.
        origin: where it comes from; messages start with it.

    Raises:
        FieldError: everything that is wrong, each with its place, such as `rules[1].method`.

    Example:
        >>> models = ["a", {"path": "b", "weight": 2}]
        >>> parse_recipe({"method": "average", "models": models}).weights
        (1.0, 2.0)
    """
    return Recipe.parse(data, origin, "a recipe")


def read_recipe(path: Path | str) -> Recipe:
    """The recipe in a YAML file.

    Raises:
        FieldError: the file cannot be read, is not YAML, or is no recipe.
    """
    return parse_recipe(read_yaml(Path(path)), str(path))
