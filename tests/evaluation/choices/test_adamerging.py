"""AdaMerging against autograd through the whole sum, its identities, and what it reads."""

import gc
import math
import weakref
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from stockpot.data import Dataset
from stockpot.engine.merge import merge
from stockpot.errors import FieldError, MergeError, StockpotError
from stockpot.evaluation import Learner, Stored, TaskNetwork, TaskPool, adapt
from stockpot.evaluation.choices.coefficients import learnable_names
from stockpot.evaluation.choices.task_vectors import vectors_of
from stockpot.evaluation.contests.bodies import adapt_bodies
from stockpot.evaluation.contests.cross_task import cross_task
from stockpot.evaluation.scores.losses import entropy_of
from stockpot.experiments.adaptation import Adamerging
from stockpot.methods import Cart, TaskArithmetic, Ties
from stockpot.networks import build
from stockpot.networks.weights import save_state

from ..making import few_digits, several_splits

SAMPLES = 12


class Small(nn.Module):
    """A body in float64, and a head of its own size."""

    def __init__(self, classes, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 4))
        self.idle = nn.Parameter(torch.randn(2))  # no loss depends on it
        self.head = nn.Linear(4, classes)
        self.double().eval()

    def forward(self, images):
        return self.head(self.body(images.double()))


def shared(network):
    state = network.state_dict()
    return {name: one.clone() for name, one in state.items() if not name.startswith("head.")}


def inputs(classes, seed, count=SAMPLES):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 3, 3, generator=generator)
    labels = torch.arange(count) % classes
    return Dataset(
        name=f"d{seed}",
        inputs=images,
        labels=labels,
        originals=torch.arange(count),
        num_classes=classes,
    )


@pytest.fixture(scope="module")
def base():
    return shared(Small(3, 0))


@pytest.fixture(scope="module")
def learners():
    return [
        Learner(f"task-{k}", Small(classes, 10 + k), inputs(classes, k))
        for k, classes in enumerate((3, 4, 2))
    ]


@pytest.fixture(scope="module")
def states(learners):
    return [shared(one.network) for one in learners]


def by_autograd(learners, base, states, how):
    """λ and the body, with every task vector in the graph and the entropy from its definition."""
    names, count = [n for n in learnable_names(learners[0].network) if n in base], len(states)
    rows = len(names) if how.level == "layer" else 1
    raw = torch.full((rows, count), how.init, dtype=torch.float64, requires_grad=True)
    first, second = torch.zeros_like(raw), torch.zeros_like(raw)

    def whole(raw):
        used = raw if how.clamp == "none" else raw.clamp(0, 1)
        rows = used.expand(len(names), count)
        return {
            name: base[name]
            + sum(rows[t, k] * (states[k][name] - base[name]) for k in range(count))
            for t, name in enumerate(names)
        }

    for step in range(1, how.steps + 1):
        loss = torch.zeros((), dtype=torch.float64)
        for one in learners:
            body = whole(raw)
            p = functional_call(one.network, body, (one.inputs.inputs,)).softmax(1)
            loss = loss + (-(p * p.log()).sum(1)).mean()
        (g,) = torch.autograd.grad(loss, raw)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        move = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        raw = (raw - how.lr * move).detach().requires_grad_()
    return raw.detach(), {name: one.detach() for name, one in whole(raw).items()}


@pytest.mark.parametrize("level", ["layer", "task"])
@pytest.mark.parametrize(("clamp", "lr"), [("unit", 0.02), ("unit", 0.2), ("none", 0.2)])
def test_it_is_autograd_through_the_whole_sum(learners, base, states, level, clamp, lr):
    how = Adamerging(level=level, clamp=clamp, lr=lr, steps=12, batch_size=SAMPLES)
    raw, body = by_autograd(learners, base, states, how)
    found = adapt(learners, base, states, how)
    used = raw.clamp(0, 1) if clamp == "unit" else raw
    torch.testing.assert_close(found.coefficients, used.expand(len(found.names), -1))
    if lr == 0.2:  # the clamp is in use
        assert bool(((raw < 0) | (raw > 1)).any())
    for name, one in body.items():
        torch.testing.assert_close(found.body[name], one)


def test_entropy_falls(learners, base, states):
    found = adapt(learners, base, states, Adamerging(lr=0.01, steps=40, batch_size=SAMPLES))
    assert found.entropies[-1] < found.entropies[0] - 0.01
    assert len(found.entropies) == 40
    untouched = found.names.index("idle")
    assert found.coefficients[untouched].tolist() == [0.3] * 3


@pytest.mark.parametrize("how", [Adamerging(steps=0), Adamerging(steps=3, lr=0.0)])
def test_without_learning_it_is_task_arithmetic(learners, base, states, how):
    found = adapt(learners, base, states, how)
    expected = merge(states, TaskArithmetic(scale=0.3), base=base)
    assert all(torch.equal(found.body[name], one) for name, one in expected.items())


def test_one_task_goes_all_the_way_or_nowhere(learners, base, states):
    for init, end in ((1.0, states[0]), (0.0, base)):
        found = adapt(learners[:1], base, states[:1], Adamerging(steps=0, init=init))
        assert all(torch.equal(found.body[name], one) for name, one in end.items())


def test_equal_task_vectors_have_equal_coefficients(learners, base, states):
    found = adapt(learners, base, [states[0]] * 3, Adamerging(steps=9, lr=0.05))
    first_T, *others = found.coefficients.T
    assert all(torch.equal(first_T, one) for one in others)
    assert not torch.equal(first_T, torch.full_like(first_T, 0.3))


def test_labels_are_not_looked_at_and_the_seed_repeats(learners, base, states):
    how, random = Adamerging(steps=5, batch_size=4), torch.get_rng_state()
    blind = [
        replace(one, inputs=replace(one.inputs, labels=one.inputs.labels.flip(0)))
        for one in learners
    ]
    first = adapt(learners, base, states, how)
    assert torch.equal(adapt(blind, base, states, how).coefficients, first.coefficients)
    assert not torch.equal(
        adapt(learners, base, states, how, seed=1).coefficients, first.coefficients
    )
    assert torch.equal(random, torch.get_rng_state())
    assert all(one.grad is None for learner in learners for one in learner.network.parameters())


def test_a_tasks_inputs_do_not_depend_on_its_place(learners, base, states):
    how = Adamerging(steps=4, batch_size=4)
    there = adapt(learners, base, states, how).coefficients
    back = adapt(learners[::-1], base, states[::-1], how).coefficients
    torch.testing.assert_close(back.flip(1), there)


def test_progress_is_told(learners, base, states):
    told = []
    adapt(learners, base, states, Adamerging(steps=4), progress=lambda *what: told.append(what))
    assert [done for _, done in told] == [0.25, 0.5, 0.75, 1.0]
    assert all("entropy" in what for what, _ in told)


def test_entropy_by_definition():
    logits = torch.randn(5, 3, dtype=torch.float64)
    p, q = logits.softmax(1), logits.sigmoid()
    torch.testing.assert_close(entropy_of(logits, several=False), -(p * p.log()).sum(1))
    binary = -(q * q.log() + (1 - q) * (1 - q).log()).mean(1)
    torch.testing.assert_close(entropy_of(logits, several=True), binary)
    sure = torch.tensor([[1e4, -1e4, 0.0]])
    assert entropy_of(sure, several=False).tolist() == [0.0]
    assert entropy_of(sure, several=True).item() == pytest.approx(math.log(2) / 3)
    assert entropy_of(torch.zeros(1, 4), several=False).item() == pytest.approx(math.log(4))


def test_several_classes_and_one_class_go_together():
    def net(classes):
        return build("mlp", num_classes=classes, in_channels=1, image_size=8, width=8, depth=1)

    several = several_splits().test
    learners = [
        Learner("one", net(10), few_digits().test),
        Learner("several", net(several.num_classes), several),
    ]
    base = {n: torch.randn_like(t) for n, t in shared(learners[0].network).items()}
    found = adapt(
        learners, base, [shared(one.network) for one in learners], Adamerging(steps=20, lr=0.02)
    )
    assert found.entropies[-1] < found.entropies[0]


def test_ties_vectors_are_trimmed_and_have_the_elected_sign(base, states):
    density = 0.4
    with vectors_of(Adamerging(vectors="ties", density=density), base, states) as (origin, ends):
        vectors = [torch.cat([(one[n] - origin[n]).flatten() for n in base]) for one in ends]
    deltas = [torch.cat([(one[n] - base[n]).flatten() for n in base]) for one in states]
    trimmed = []
    for one in deltas:
        least = one.abs().sort(descending=True).values[int(density * len(one)) - 1]
        trimmed.append(torch.where(one.abs() >= least, one, 0))
    sign = torch.where(sum(trimmed) >= 0, 1, -1)
    for found, one in zip(vectors, trimmed, strict=True):
        torch.testing.assert_close(found, torch.where(one.sign() == sign, one, 0))


def test_ties_vectors_of_coefficient_one_are_ties_as_a_sum(learners, base, states):
    how = Adamerging(vectors="ties", steps=0, init=1.0)
    found = adapt(learners, base, states, how)
    expected = merge(states, Ties(reduce="sum"), base=base)
    for name, one in expected.items():
        torch.testing.assert_close(found.body[name], one)


def test_cart_vectors_are_centred_and_of_low_rank(base, states):
    with vectors_of(Adamerging(vectors="cart", rank=0.5), base, states) as (origin, ends):
        for name in base:
            mean = sum(one[name] for one in states) / len(states)
            torch.testing.assert_close(origin[name], mean)
            for found, one in zip(ends, states, strict=True):
                delta = one[name] - mean
                if delta.ndim == 2:
                    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
                    kept = len(s) // 2
                    delta = u[:, :kept] * s[:kept] @ vt[:kept]
                torch.testing.assert_close(found[name] - origin[name], delta)


def test_cart_vectors_of_one_coefficient_are_cart(learners, base, states):
    how = Adamerging(vectors="cart", rank=0.5, steps=0, init=0.7)
    found, expected = adapt(learners, base, states, how), merge(states, Cart(rank=0.5, scale=0.7))
    for name, one in expected.items():
        torch.testing.assert_close(found.body[name], one)


class Counted(Stored):
    """Which tensors were read, and how many were alive at once."""

    reads, alive, most = 0, weakref.WeakSet(), 0

    def __getitem__(self, name):
        found = super().__getitem__(name)
        Counted.reads += 1
        Counted.alive.add(found)
        Counted.most = max(Counted.most, len(Counted.alive))
        return found


def test_networks_in_files_are_read_tensor_by_tensor(learners, base, states, tmp_path):
    how, steps = Adamerging(steps=3, batch_size=4), 3
    stored = []
    for k, one in enumerate([base, *states]):
        save_state(one, tmp_path / f"{k}.safetensors", {})
        stored.append(Counted(tmp_path / f"{k}.safetensors"))
    gc.collect()
    Counted.reads, Counted.most, Counted.alive = 0, 0, weakref.WeakSet()
    found = adapt(learners, stored[0], stored[1:], how)
    assert torch.equal(found.coefficients, adapt(learners, base, states, how).coefficients)
    sweep, idle = len(base) * (1 + len(states)), 1 + len(states)
    assert Counted.reads == (2 * steps + 1) * sweep - steps * idle
    assert Counted.most <= 3


def test_statistics_of_batch_norm_are_the_plain_average():
    shape = {"num_classes": 10, "in_channels": 1, "image_size": 8, "width": 4}
    nets = [build("resnet-8", seed=seed, **shape) for seed in (0, 1, 2)]
    for k, net in enumerate(nets):
        for name, one in net.state_dict().items():
            if name.endswith("running_var"):
                one.fill_(1 + k)
            elif name.endswith("num_batches_tracked"):
                one.fill_(k)
    data = few_digits().test
    learners = [Learner(str(k), net, data) for k, net in enumerate(nets[1:])]
    base, *states = (shared(net) for net in nets)
    found = adapt(learners, base, states, Adamerging(steps=2, batch_size=8))
    variances = [one for name, one in found.body.items() if name.endswith("running_var")]
    assert variances
    assert all(bool((one == 2.5).all()) for one in variances)
    counts = [one for name, one in found.body.items() if name.endswith("num_batches_tracked")]
    assert {int(one) for one in counts} == {0}
    assert set(found.body) == set(base)


def test_tied_tensors_stay_tied():
    class Tied(nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            self.flat, self.one = nn.Flatten(), nn.Linear(9, 9)
            self.two = self.one
            self.head = nn.Linear(9, 3)
            self.double().eval()

        def forward(self, images):
            return self.head(self.two(self.one(self.flat(images.double())).tanh()))

    nets = [Tied(seed) for seed in range(3)]
    learners = [Learner(str(k), net, inputs(3, k)) for k, net in enumerate(nets[1:])]
    base, *states = (shared(net) for net in nets)
    found = adapt(learners, base, states, Adamerging(steps=2))
    assert set(found.body) == set(base)
    assert torch.equal(found.body["two.weight"], found.body["one.weight"])


def test_what_does_not_fit_is_refused(learners, base, states):
    with pytest.raises(StockpotError, match="2 tasks have 3 networks"):
        adapt(learners[:2], base, states, Adamerging())
    broken = {name: torch.full_like(one, math.nan) for name, one in base.items()}
    with pytest.raises(StockpotError, match="entropy of task 'task-0' is not finite"):
        adapt(learners, broken, states, Adamerging(steps=1))
    for fields, words in [
        ({"lr": -1}, "lr must be"),
        ({"vectors": "best"}, "one of plain, ties, cart"),
        ({"steps": 1.5}, "whole number"),
        ({"density": 0}, "density must be"),
    ]:
        with pytest.raises(FieldError, match=f"adamerging: .*{words}"):
            Adamerging(**fields)


@pytest.fixture(scope="module")
def pool():
    from ..making import fitted, mlp

    plain = few_digits()
    start = fitted(mlp(), plain.train, 9, steps=10)
    tasks = [TaskNetwork(f"t{k}", fitted(start, plain.train, k, steps=20), plain) for k in range(2)]
    return TaskPool(seed=0, tasks=tasks, base=start.state_dict())


def test_heads_stay_private(pool):
    tasks, own = pool.tasks, pool.own()
    before = [{n: one.clone() for n, one in task.network.state_dict().items()} for task in tasks]
    nets, found = adapt_bodies(tasks, Adamerging(steps=3), own, base=pool.base)
    assert not any(name.startswith("head.") for name in found.names)
    for task, kept in zip(tasks, before, strict=True):
        there = nets[task.name].state_dict()
        assert all(torch.equal(there[name], kept[name]) for name in own)
        assert all(torch.equal(there[name], found.body[name]) for name in found.body)
        assert all(torch.equal(task.network.state_dict()[name], kept[name]) for name in kept)
    lame = {name: one for name, one in pool.base.items() if name != "body.1.bias"}
    with pytest.raises(MergeError, match=r"'body.1.bias' is \(16,\) in t0; base has it absent"):
        adapt_bodies(tasks, Adamerging(), own, base=lame)


def test_in_a_comparison_it_says_that_it_has_seen_test_inputs(pool):
    methods = [
        TaskArithmetic(scale=0.3),
        Adamerging(steps=4),
        Adamerging(steps=4, inputs="selection"),
        Adamerging(steps=0),
    ]
    found = cross_task([pool], methods=methods)
    kinds = {row.method: row.kind for row in found.rows}
    adapted = "test-time-adaptation"
    assert kinds == {
        "individual": "single",
        "task-arithmetic": "merge",
        "adamerging inputs=test steps=4": adapted,
        "adamerging inputs=selection steps=4": "merge",
        "adamerging inputs=test steps=0": adapted,
    }
    value = {row.method: row.value for row in found.rows}
    assert value["adamerging inputs=test steps=0"] == value["task-arithmetic"]
    facts = dict(found.facts)
    said = facts["adamerging inputs=test steps=4"]
    assert said.startswith("adapted on unlabelled test inputs: 4 steps; mean coefficients t0 0.")
    assert "selection inputs" in facts["adamerging inputs=selection steps=4"]
    assert "prefers adamerging inputs=test" not in found.conclusion
    assert found.conclusion.endswith(": adapted on unlabelled test inputs.")
    with pytest.raises(MergeError, match="adamerging needs a base"):
        cross_task([replace(pool, base=None)], methods=[Adamerging()])
