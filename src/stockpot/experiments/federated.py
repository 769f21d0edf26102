"""A federated experiment: who holds what, how clients learn, how replies are merged; its YAML.

Whatever is wrong reaches the user as a FieldError that says where in the file and what.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from ..core import Method
from ..errors import FieldError
from ..methods import Average
from ..recipes.reading.kinds import refuse_other
from ..recipes.reading.yaml import read_yaml
from ..values.bounds import Below1, Count, NotNegative, Positive, Seed, Text
from ..values.fields import Fraction
from ..values.from_plain_data import Reads
from ..values.section import Section, plain
from .additions import ADDITIONS, Proximal, ScopePenalty, Variance
from .aggregating import Aggregation, AggregationEntry, plain_aggregation
from .cells import SpecEntry
from .experiment import Experiment, SplitSpec
from .fit import Optimiser, Schedule
from .flower import FlowerStrategy
from .schooling import Schooling

Client = Literal["fedavg", "fedprox", "fedbn", "wsa", "wsa-fedprox"]

_AVERAGE, _SPLIT = Average(), SplitSpec()
_IDLE = ("part", *ADDITIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTraining(Schooling):
    """How a client learns in one round; the schedule is of one round.

    What would be a penalty on a plain fit is said by a run's `client`.
    """

    epochs: Count = 1
    lr: Positive = 0.05
    batch_size: Count = 32
    optimiser: Optimiser = "sgd"
    momentum: Below1 = 0.0
    weight_decay: NotNegative = 0.0
    schedule: Schedule = "constant"

    def check(self) -> None:
        """Refuse what does not go together."""
        Schooling.check(self)
        for key in _IDLE:
            if getattr(self, key) is not None:
                raise FieldError(f"{key}: has no meaning for clients; leave it out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSpec(Section):
    """Clients train and send factors B, A of rank r of each matrix's change, W + B A.

    Products are merged, not factors. Tensors that are no matrix or convolution stay as they begin.

    Attributes:
        rank: r.
        merge: `stacked`: the merged change has whatever rank comes out; `refactored`: it is cut to
            its best approximation of rank r.
    """

    rank: Count = 4
    merge: Literal["stacked", "refactored"] = "stacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedRun(Section):
    """One algorithm: what clients minimise, and how the server merges what they send.

    Attributes:
        client: `fedavg`: the loss alone; `fedprox`: with a proximal term to the global model;
            `wsa`: with the scope penalty to the fused scope of the round before; `wsa-fedprox`:
            with both; `fedbn`: normalisation layers stay each client's own.
        name: in tables; made of what tells it from the others where it is not given.
        proximal: weight of the proximal term.
        scope: weight of the scope penalty.
        variance: how a fused scope's standard deviation comes about.
        aggregation: a merge method, multi-krum, or a strategy of Flower's as it is, such as
            `flower:FedAdam`; the base is the global model.
        lora: clients send low-rank factors in place of networks.
    """

    @classmethod
    def rewritten(cls, data: object) -> object:
        """A word alone is its `client`."""
        return {"client": data} if isinstance(data, str) else data

    client: Client = "fedavg"
    name: Text | None = None
    proximal: NotNegative | None = None
    scope: NotNegative | None = None
    variance: Variance = "mean"
    aggregation: AggregationEntry = _AVERAGE
    lora: LoraSpec | None = None

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.proximal is not None and "fedprox" not in self.client:
            raise FieldError("proximal: is of fedprox and wsa-fedprox; leave it out.")
        if self.scope is not None and "wsa" not in self.client:
            raise FieldError("scope: is of wsa and wsa-fedprox; leave it out.")
        if self.lora and self.client != "fedavg":
            raise FieldError("lora: goes with client: fedavg.")
        if self.lora and self.needs_statistics:
            raise FieldError("lora: factors have no statistics; choose another aggregation.")
        if self.lora and isinstance(self.aggregation, FlowerStrategy):
            raise FieldError(
                "lora: strategies of Flower's would merge factors apart, which is another matrix: "
                "choose a merge method."
            )

    @property
    def proximal_weight(self) -> float:
        """Of the proximal term; 0 for none."""
        if "fedprox" not in self.client:
            return 0.0
        return Proximal().weight if self.proximal is None else self.proximal

    @property
    def scope_weight(self) -> float:
        """Of the scope penalty; 0 for none."""
        if "wsa" not in self.client:
            return 0.0
        return ScopePenalty().weight if self.scope is None else self.scope

    @property
    def needs_statistics(self) -> bool:
        """Whether clients send the Fisher information of what they have learned."""
        rule = self.aggregation
        return isinstance(rule, Method) and bool(rule.needs.statistics)

    @property
    def merged_rank(self) -> int:
        """Rank to which clients' merged change is cut; 0 for as it comes."""
        return self.lora.rank if self.lora and self.lora.merge == "refactored" else 0

    @property
    def remembers(self) -> bool:
        """Whether the server keeps something between rounds beside the global model."""
        return isinstance(self.aggregation, FlowerStrategy) and self.aggregation.remembers

    def plain(self) -> dict[str, Any]:
        """In plain values, read back by the same section."""
        names = [one.name for one in fields(self) if one.name != "aggregation"]
        given = {name: plain(value) for name in names if (value := getattr(self, name)) is not None}
        return given | {"aggregation": plain_aggregation(self.aggregation)}


def _read_alphas(value: object) -> tuple[float, ...]:
    many = cast(list[object], value) if isinstance(value, list | tuple) else [value]
    good = all(isinstance(a, int | float) and not isinstance(a, bool) and 0 < a < 1e6 for a in many)
    if not many or not good or len(set(many)) < len(many):
        raise FieldError("must be a number in (0, 1e6), or a list of different ones.")
    return tuple(float(cast(float, a)) for a in many)


@dataclass(frozen=True, slots=True, kw_only=True)
class Federated(Section):
    """Clients, rounds, and the algorithms that are compared.

    Attributes:
        clients: how many there are.
        rounds: of every run.
        partition: `dirichlet`: each class is dealt to the clients by shares from a symmetric
            Dirichlet distribution; `domain`: each client has the samples of one domain.
        alpha: of the Dirichlet distribution; smaller is more skewed. Several are compared.
        participation: fraction of the clients that is drawn each round, at least one.
        seeds: how often everything is run, with the seeds seed, seed + 1, ...
        timeout: seconds after which a client that has not answered is left out of a round; with
            Flower, where clients run beside each other.
        local: how a client learns in one round.
        runs: the algorithms.
    """

    clients: Count = 10
    rounds: Count = 20
    partition: Literal["dirichlet", "domain"] = "dirichlet"
    alpha: Annotated[tuple[float, ...], Reads(_read_alphas)] = (0.5,)
    participation: Fraction = 1.0
    seeds: Count = 1
    timeout: Positive = 3600.0
    local: LocalTraining = LocalTraining()
    runs: tuple[FederatedRun, ...] = (FederatedRun(),)

    @classmethod
    def rewritten(cls, data: object) -> object:
        """As it is; an alpha that has no meaning is refused, not ignored."""
        if isinstance(data, Mapping):
            given = cast(Mapping[object, object], data)
            if given.get("partition") == "domain" and "alpha" in given:
                raise FieldError("alpha: is of partition: dirichlet; leave it out.")
        return cast(object, data)

    def check(self) -> None:
        """Refuse what does not go together."""
        if not self.runs:
            raise FieldError("runs: needs at least one.")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise FieldError(f"runs: two are called '{twice[0][:80]}': give one a name.")
        for index, run in enumerate(self.runs):
            self._refuse_misfit(index, run.aggregation)

    def _refuse_misfit(self, index: int, rule: Aggregation) -> None:
        count, words = self.drawn, rule.misfit(self.drawn)
        if isinstance(rule, Method):
            least, most = rule.needs.models
            if count < least or (most is not None and count > most):
                words = f"it merges {least if least == most else f'{least} or more'} models."
        if words:
            raise FieldError(
                f"runs[{index}].aggregation: {count} clients are drawn each round, and {words}"
            )

    @property
    def drawn(self) -> int:
        """Clients of a round."""
        return max(1, round(self.participation * self.clients))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the runs, in order."""
        found: list[str] = []
        for run in self.runs:
            rule = plain_aggregation(run.aggregation)["name"]
            words = [run.client, *([str(rule)] if rule != "average" else [])]
            words += [f"lora-{run.lora.rank}"] if run.lora else []
            words += ["refactored"] if run.merged_rank else []
            found.append(run.name or " ".join(words))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation(Section):
    """A federated experiment.

    Attributes:
        network, data, split: as in every experiment; the training split is dealt to the clients to
            learn from, the test split, alike, to be judged on.
        federated: clients, rounds, algorithms.
        seed: of everything that draws at random.
    """

    network: SpecEntry
    data: SpecEntry
    split: SplitSpec = _SPLIT
    federated: Federated
    seed: Seed = 0

    @classmethod
    def rewritten(cls, data: object) -> object:
        """As it is; a file of another kind is refused."""
        refuse_other(data, "federated")
        return data

    @property
    def seeds(self) -> range:
        """The seed of each repetition."""
        return range(self.seed, self.seed + self.federated.seeds)

    @property
    def alphas(self) -> tuple[float | None, ...]:
        """The partitions that are compared; None where it is by domain."""
        return (None,) if self.federated.partition == "domain" else self.federated.alpha

    @property
    def experiment(self) -> Experiment:
        """Network, data and split, as training opens them."""
        return Experiment(network=self.network, data=self.data, split=self.split, seed=self.seed)

    def resolved(self) -> dict[str, Any]:
        """All of it in plain values, defaults too; `parse_federation` reads it back."""
        names = [one.name for one in fields(self)]
        head = {k: v for k, v in self.experiment.resolved().items() if k in names}
        apart = ("runs", "local", "alpha")
        inner = {k: v for k, v in self.federated.plain().items() if k not in apart}
        local = {k: v for k, v in self.federated.local.plain().items() if k not in _IDLE}
        if self.federated.partition == "dirichlet":
            inner["alpha"] = list(self.federated.alpha)
        runs = [run.plain() for run in self.federated.runs]
        return {**head, "federated": {**inner, "local": local, "runs": runs}}


def parse_federation(data: object, origin: str = "") -> Federation:
    """The federated experiment in plain `data`, as YAML or JSON gives it.

    Args:
        data: a mapping with the keys of `Federation`.
        origin: where it comes from; messages start with it.

    Raises:
        FieldError: everything that is wrong, each with its place, such as `federated.rounds`.

    Example:
        >>> parse_federation({"network": "mlp", "data": "digits", "federated": {}}).federated.names
        ('fedavg',)
    """
    return Federation.parse(data, origin, "an experiment")


def read_federation(path: Path | str) -> Federation:
    """The federated experiment in a YAML file.

    Raises:
        FieldError: the file cannot be read, is not YAML, or is no federated experiment.
    """
    return parse_federation(read_yaml(Path(path)), str(path))
