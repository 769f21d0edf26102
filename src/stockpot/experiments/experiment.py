"""An experiment: which networks, on which data, trained how and compared how; its YAML, checked.

Whatever is wrong reaches the user as a FieldError that says where in the file and what.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from ..core import Method
from ..errors import FieldError
from ..methods import METHODS, catalogue
from ..recipes.reading.kinds import refuse_other
from ..recipes.reading.searching import Budget
from ..recipes.reading.yaml import read_yaml
from ..values.bounds import Count, NotNegative, Part, Seed, Text
from ..values.family import Family
from ..values.fields import Fraction, kebab_name
from ..values.from_plain_data import Reads
from ..values.section import Section
from .adaptation import ADAMERGING, Adamerging
from .cells import SpecEntry, SpecIfAny, cell_names, own_weights
from .schooling import EACH_ITS_SEED, Pretraining, Schooling, Vary, Weights
from .tasks import TaskSpec, refuse_tasks
from .views import ViewSpec

COLUMNS = (
    "single-mean",
    "single-best",
    "uniform-soup",
    "greedy-soup",
    "learned-soup",
    "logits-ensemble",
    "probabilities-ensemble",
    "temperature-ensemble",
    *("features-ensemble", "features-ensemble-first-head"),
    *("greedy-logits-ensemble", "greedy-features-ensemble", "caruana-logits-ensemble"),
    "distilled",
)
"""What a comparison can hold beside the merge methods."""

ACROSS_TASKS = ("uniform-soup", "logits-ensemble")
"""The columns that networks of several tasks have too."""


MERGES: Family[Method | Adamerging] = Family(
    "method",
    (*METHODS, Adamerging),
    of=Method | Adamerging,
    inner=(catalogue.FAMILY,),
    elsewhere=catalogue.OWN,
)
"""What merges the networks of a comparison."""


def _read_column(value: object) -> str | Method | Adamerging:
    if isinstance(value, str):
        if value in COLUMNS:
            return value
        MERGES.find(value, beside=COLUMNS)
    found = MERGES.read(value)
    if isinstance(found, Method) and found.needs.statistics:
        raise FieldError(f"{kebab_name(type(found))}: a comparison has no statistics of data.")
    return found


ColumnEntry = Annotated[Any, Reads(_read_column)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec(Section):
    """How data are split; official parts are used as they are.

    Attributes:
        selection, test: fractions of the training data, where the set has no official part.
        draw: `once`: all pools share one split; `per-pool`: each has its own, pool k of seed + k,
            so that intervals over pools cover the luck of the split too. `split: per-pool` is
            short for it.
        seed: of the split; the experiment's where it is not given.
        limit: train on about so many samples.
        fraction: train on this fraction of the samples.
        domains: the only ones that train, selection and test hold, where the data have several;
            the test split's samples of the others are kept aside for `compare.views`.
    """

    draw: Literal["once", "per-pool"] = "once"
    selection: Part = 0.1
    test: Part = 0.2
    seed: Seed | None = None
    limit: Count | None = None
    fraction: Fraction | None = None
    domains: tuple[Text, ...] = ()

    @classmethod
    def rewritten(cls, data: object) -> object:
        """`per-pool` as the mapping that it is short for."""
        return {"draw": data} if isinstance(data, str) else data

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.selection + self.test >= 1:
            raise FieldError("selection and test must have a sum below 1.")
        if self.limit is not None and self.fraction is not None:
            raise FieldError("needs at most one of limit and fraction.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngredientsSection(Schooling):
    """How many networks there are in a pool, how they are related, and how each is trained.

    Attributes:
        count: of a pool.
        share: `pretrained`: all start from the same trained weights; `init`: from the same random
            ones; `none`: each from random ones of its own.
        start: where each task begins: `shared`, all at the same body; `previous`, each at the body
            that the task before it has left, the first at the shared one; with tasks only.
        weights: what pretrained networks start from.
        pretrain: training on the same data that comes first: once for all with `pretrained`, for
            each by itself with `none`, so that both have had equal training.
        vary: what differs between them.
        stages: how often all of a pool are trained, one stretch after another; from the second on,
            a `scope` with the target `fused` pulls each to what the stage before made of all.
        heads: `frozen` leaves heads as they came out of a joint pretraining; with tasks only.
        private: globs of tensors that stay each task's own beside its head; with tasks only.
    """

    count: Count = 10
    share: Literal["pretrained", "init", "none"] = "pretrained"
    start: Literal["shared", "previous"] = "shared"
    weights: Weights | None = None
    pretrain: Pretraining | None = None
    vary: Vary = EACH_ITS_SEED
    stages: Count = 1
    heads: Literal["trained", "frozen"] = "trained"
    private: tuple[Text, ...] = ()

    def check(self) -> None:
        """Refuse what does not go together."""
        Schooling.check(self)
        if self.weights and self.share != "pretrained":
            raise FieldError(f"weights: with share: {self.share} nothing starts from them.")
        if self.pretrain and self.share == "init":
            raise FieldError("pretrain: a common start that is trained is share: pretrained.")
        if self.count > 1 and self.share != "none" and not self.vary.anything:
            raise FieldError("vary: nothing varies, so all ingredients would be one network.")
        if self.scope and self.scope.target.kind == "fused" and self.stages == 1:
            raise FieldError("scope.target: fused is of the stage before: give stages: 2 or more.")
        if self.pretrain and self.pretrain.scope and self.pretrain.scope.target.kind == "fused":
            raise FieldError("pretrain.scope.target: there is nothing to fuse before a pool.")

    @property
    def for_tasks(self) -> bool:
        """Whether a key is given that means something with tasks only."""
        return self.heads == "frozen" or bool(self.private) or self.start == "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Section):
    """What is compared.

    Attributes:
        counts: how many ingredients go into each soup and ensemble; none for 2 to all.
        subsets: how many subsets of each count are drawn from a pool.
        seeds: how many pools are trained, with the seeds seed, seed + 1, ...; intervals over luck
            need at least three.
        metric: accuracy, auroc, nll, ece, or package.module:function; by default accuracy, or auroc
            where a sample may have several classes.
        margin: a difference of the metric that does not matter.
        views: of the test split, for a look at what a shift does; nothing is chosen on them.
        search: the budget with which every merge method is tuned on the selection split; none
            takes each as it is written.
        methods: columns and merge methods, with tasks adamerging too; none for all columns that
            need no training.
    """

    counts: tuple[Count, ...] = ()
    subsets: Count = 3
    seeds: Count = 1
    metric: Text | None = None
    margin: NotNegative = 0.005
    views: tuple[ViewSpec, ...] = ()
    search: Budget | None = None
    methods: tuple[ColumnEntry, ...] = ()

    def check(self) -> None:
        """Refuse what does not go together."""
        twice = [text for text, count in Counter(self.view_texts).items() if count > 1]
        if twice:
            raise FieldError(f"views: '{twice[0][:80]}' stands twice.")

    @property
    def view_texts(self) -> tuple[str, ...]:
        """As `stockpot.data.named_views` reads them."""
        return tuple(text for view in self.views for text in view.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Section):
    """Lists of networks and of data; every pair of them is a cell of its own."""

    network: tuple[SpecEntry, ...] = ()
    data: tuple[SpecEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment(Section):
    """Which networks, on which data, trained and compared how.

    Attributes:
        network: a name, or a mapping of `name` and the network's own keys.
        data: a name, or a mapping of `name` and the reader's own keys.
        split: into train, selection and test.
        ingredients: the pool.
        compare: what is compared.
        tasks: in place of data: one body, a head for each, and a pool of one ingredient for each.
        sweep: several networks or data in place of one.
        seed: of everything that draws at random.
    """

    network: SpecIfAny = None
    data: SpecIfAny = None
    tasks: tuple[TaskSpec, ...] = ()
    split: SplitSpec = SplitSpec()
    ingredients: IngredientsSection = IngredientsSection()
    compare: Compare = Compare()
    sweep: Sweep = Sweep()
    seed: Seed = 0

    @classmethod
    def rewritten(cls, data: object) -> object:
        """As it is; a file of another kind, and keys without meaning beside tasks, are refused."""
        refuse_other(data, "experiment")
        if isinstance(data, Mapping) and "tasks" in data:
            given = cast(Mapping[object, Any], data)
            if given["tasks"] == []:
                refuse_tasks(())
            for section, keys in _IDLE.items():
                there = cast(object, given.get(section))
                for key in keys:
                    if isinstance(there, Mapping) and key in there:
                        raise FieldError(
                            f"{section}.{key} has no meaning with tasks: leave it out."
                        )
        return cast(object, data)

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.tasks:
            self._fits_tasks()
        elif self.ingredients.for_tasks:
            raise FieldError(
                "ingredients: heads, private and start are for experiments with tasks."
            )
        elif any(isinstance(one, Adamerging) for one in self.compare.methods):
            raise FieldError(f"compare.methods: {ADAMERGING} is for experiments with tasks.")
        for name in ("network", "data"):
            one, many = getattr(self, name), getattr(self.sweep, name)
            if one is None and not many and not (name == "data" and self.tasks):
                raise FieldError(f"{name} is required.")
            if one is not None and many:
                raise FieldError(f"{name}: sweep has {name}s too; give one or the other.")
        most, of = self.members, "the number of tasks" if self.tasks else "ingredients.count"
        for index, count in enumerate(self.compare.counts):
            if count > most:
                raise FieldError(
                    f"compare.counts[{index}] must be at most {of}, {most}; got {count}."
                )

    def _fits_tasks(self) -> None:
        """What has no meaning with tasks is refused, not ignored."""
        refuse_tasks(self.tasks)
        made, wanted = self.ingredients, self.compare
        idle = {
            "data": self.data is not None,
            "sweep.data": bool(self.sweep.data),
            "split.draw": self.split.draw != "once",
            "ingredients.part": made.part is not None,
            "ingredients.stages": made.stages > 1,
            "ingredients.pretrain.part": made.pretrain is not None and made.pretrain.part,
            "compare.views": bool(wanted.views),
        }
        for name in (name for name, is_given in idle.items() if is_given):
            raise FieldError(f"{name} has no meaning with tasks: leave it out.")
        if not self.trains_tasks and (made.pretrain or self.pretraining):
            raise FieldError(
                "tasks: all have weights and nothing is trained, so say what they were fine-tuned "
                "from: ingredients.weights, or a network that brings its own; or share: none."
            )
        if not self.trains_tasks and wanted.seeds > 1:
            raise FieldError(
                "compare.seeds: nothing is trained, so the pools would be copies of one."
            )
        if made.share == "none" and made.start == "previous":
            raise FieldError("ingredients.start: with share: none tasks have no start in common.")
        if made.start == "previous" and any(task.weights for task in self.tasks):
            raise FieldError("ingredients.start: a task with weights goes on from no other task.")
        for one in filter(None, (made.scope, made.pretrain and made.pretrain.scope)):
            if one.target.kind in ("init", "file"):
                raise FieldError("ingredients.scope.target: with tasks start or a constant.")
        if made.share == "none" and made.pretrain:
            raise FieldError("ingredients.pretrain: tasks with share: none start from nothing.")
        if made.heads == "frozen" and not self.knows_heads:
            raise FieldError("ingredients.heads: frozen ones need a pretrain that trains them.")
        if any(count < 2 for count in wanted.counts):
            raise FieldError("compare.counts must be at least 2 with tasks.")
        for index, column in enumerate(wanted.methods):
            if isinstance(column, str) and column not in ACROSS_TASKS:
                raise FieldError(
                    f"compare.methods[{index}]: '{column}' is of networks of one task; with tasks "
                    f"give merge methods, or {' or '.join(ACROSS_TASKS)}."
                )

    @property
    def seeds(self) -> range:
        """The seed of each pool."""
        return range(self.seed, self.seed + self.compare.seeds)

    def split_of(self, pool: int | None) -> dict[str, Any]:
        """The arguments with which the data of a pool are split; None is no pool in particular.

        Raises:
            FieldError: each pool has its own, and none is given.
        """
        wanted = self.resolved()["split"]
        if wanted.pop("draw", "once") == "once":
            return wanted
        if pool is None:
            raise FieldError(
                "split: per-pool: each pool has a split of its own, and one is wanted here that is "
                "of no pool: leave per-pool out, with the seed of one pool as split.seed."
            )
        first = self.seed if self.split.seed is None else self.split.seed
        return wanted | {"seed": first + pool - self.seed}

    @property
    def members(self) -> int:
        """Ingredients of a pool."""
        return len(self.tasks) or self.ingredients.count

    @property
    def knows_heads(self) -> bool:
        """Whether the shared start of tasks has heads that mean something."""
        return self.pretraining is not None or all(task.head for task in self.tasks)

    @property
    def trains_tasks(self) -> bool:
        """Whether any task's network is trained, and so also one on all tasks, to compare with."""
        return any(not task.weights for task in self.tasks)

    @property
    def pretraining(self) -> Pretraining | None:
        """What is trained before the ingredients; also where the file leaves it to a default.

        `share: pretrained` needs a trained start. Where no weights are named, and the network
        does not bring any, it is trained here.
        """
        made = self.ingredients
        if made.pretrain or made.share != "pretrained" or made.weights:
            return made.pretrain
        return None if own_weights(self.network) else Pretraining()

    def cells(self) -> Iterator[tuple[str, "Experiment"]]:
        """Each cell of the sweep by its name; without a sweep the experiment itself, named ''."""
        networks = self.sweep.network or (self.network,)
        data = self.sweep.data or (self.data,)
        pairs = list(product(networks, data))
        names = cell_names(pairs, networks=bool(self.sweep.network), data=bool(self.sweep.data))
        for name, (network, one) in zip(names, pairs, strict=True):
            yield name, replace(self, network=network, data=one, sweep=Sweep())

    def resolved(self) -> dict[str, Any]:
        """All of it in plain values, defaults too; `parse_experiment` reads it back."""
        plain = self.plain()
        if self.split.draw == "once":
            del plain["split"]["draw"]
        if not self.split.domains:  # files that were trained before there was the key have none
            del plain["split"]["domains"]
        if self.compare.search is None:
            del plain["compare"]["search"]
        for task in plain["tasks"]:
            if not task["classes"]:  # likewise
                del task["classes"]
        if self.ingredients.stages == 1:
            del plain["ingredients"]["stages"]
        if self.tasks:  # what has no meaning with them would not be read back
            for section, keys in _IDLE.items():
                plain[section] = {k: v for k, v in plain[section].items() if k not in keys}
        else:
            del plain["tasks"]
            for key in ("heads", "private"):
                del plain["ingredients"][key]
        if self.ingredients.start == "shared":  # as with domains
            del plain["ingredients"]["start"]
        return {key: value for key, value in plain.items() if value is not None}


_IDLE = {"ingredients": ("count", "vary"), "compare": ("subsets", "margin", "views")}
"""Keys that have no meaning with tasks."""


def parse_experiment(data: object, origin: str = "") -> Experiment:
    """The experiment in plain `data`, as YAML or JSON gives it.

    Args:
        data: a mapping with the keys of `Experiment`.
        origin: where it comes from; messages start with it.

    Raises:
        FieldError: everything that is wrong, each with its place, such as `ingredients.lr`.

    Example:
        >>> parse_experiment({"network": "cnn", "data": "digits"}).ingredients.count
        10
    """
    return Experiment.parse(data, origin, "an experiment")


def read_experiment(path: Path | str) -> Experiment:
    """The experiment in a YAML file.

    Raises:
        FieldError: the file cannot be read, is not YAML, or is no experiment.
    """
    return parse_experiment(read_yaml(Path(path)), str(path))
