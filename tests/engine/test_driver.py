"""Running a plan: errors, digests, surveys, whole matrices, NaN, in any number of workers."""

import math
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import blake3
import numpy as np
import pytest
import torch
from torch import Tensor

from stockpot.checkpoints.entry import from_state_dict
from stockpot.core import SEGMENT, Facts, Method, Needs, Settled, Stack
from stockpot.engine.merge import merge_opened
from stockpot.engine.options import Options
from stockpot.engine.plan import make_plan
from stockpot.engine.tasks import desk, surveying
from stockpot.errors import MergeError, NonFiniteError
from stockpot.methods import (
    Average,
    Dare,
    Interpolate,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
)
from stockpot.ops import thresholds
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.testing.cases import State, bits, smooth
from stockpot.values.fields import check_fields

from ..cases import cut
from .making import MIB, Polar, RowSoftmax, names_only, resolved, run

TINY = {"BLOCK": SEGMENT, "CHUNK": SEGMENT, "ARENA": 24 * SEGMENT}
"""Slices of one segment, so that a tensor of a few hundred thousand elements is cut in many."""


@dataclass(frozen=True, slots=True)
class Hooked(Method):
    """An average that calls a hook first: a method that fails, waits or counts."""

    hook: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs()

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        HOOKS[self.hook](stack)
        return stack.models[0] * 1


HOOKS: dict[int, object] = {}


class Trouble(Exception):
    """What a method under test raises."""


def tensors(count: int, numel: int = 64) -> State:
    return {f"{i}.weight": torch.full((numel,), float(i)) for i in range(count)}


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("digests", [True, False])
def test_an_error_in_a_worker_surfaces_and_stops_the_others(workers: int, digests: bool) -> None:
    """The first task fails; whoever is at work then ends its piece and takes no other."""
    calls: list[str] = []
    failed = threading.Event()

    def fail_first(stack: Stack) -> None:
        calls.append(stack.name)
        if stack.name == "0.weight":
            failed.set()
            raise Trouble("the first tensor")
        assert failed.wait(10)
        time.sleep(0.2)

    HOOKS[0] = fail_first
    before = torch.get_num_threads()
    constants = {"SMALL": -1, "BLOCK": SEGMENT, "CHUNK": SEGMENT}
    with cut(**constants), pytest.raises(MergeError, match="with Trouble: the first tensor"):
        run(Hooked(), [tensors(50, 2 * SEGMENT)], workers=workers, digests=digests)
    assert len(calls) <= workers
    assert torch.get_num_threads() == before
    assert not [t for t in threading.enumerate() if "ThreadPool" in t.name]


@pytest.mark.parametrize("start", [0, SEGMENT, 7 * SEGMENT])
@pytest.mark.parametrize("digests", [True, False])
def test_an_error_in_a_slice_ends_the_run(start: int, digests: bool) -> None:
    def fail_at(stack: Stack) -> None:
        if stack.start == start:
            raise Trouble(f"at {stack.start}")

    HOOKS[0] = fail_at
    with cut(**TINY), pytest.raises(MergeError, match=f"with Trouble: at {start}"):
        run(Hooked(), [tensors(1, 9 * SEGMENT)], workers=4, digests=digests)


def test_without_digests_the_slices_of_a_tensor_are_shared_among_workers() -> None:
    """With digests one worker has them all, which hashes them in their order."""
    for digests, expected in ((True, 1), (False, 3)):
        at_work, together = set[int](), threading.Barrier(expected)

        def meet(stack: Stack, at_work: set[int] = at_work, barrier: object = together) -> None:
            if threading.get_ident() not in at_work:
                at_work.add(threading.get_ident())
                barrier.wait(10)

        HOOKS[0] = meet
        with cut(**TINY):
            run(Hooked(), [tensors(1, 9 * SEGMENT)], workers=3, digests=digests)
        assert len(at_work) == expected


def test_an_error_in_a_survey_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    base, models = smooth([(5 * SEGMENT,)], 2, 0)

    def broken(self: Slerp, stack: Stack, hint: Settled | None) -> None:
        raise Trouble("in the survey")

    for method in (Slerp, Ties):
        monkeypatch.setattr(method, "survey", broken)
        for constants in (TINY, {}):
            with cut(**constants), pytest.raises(Trouble, match="in the survey"):
                run(method(), models, base if method is Ties else None, workers=3)


def test_threads_of_torch_are_one_within_and_restored_after() -> None:
    seen: list[int] = []
    HOOKS[0] = lambda stack: seen.append(torch.get_num_threads())
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(Hooked(), [tensors(3)], workers=2)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "method",
    [Average(), Ties(), Ties(trim="tensor"), Slerp(), Dare(rescale="norm"), RowSoftmax()],
    ids=repr,
)
@pytest.mark.parametrize("workers", [1, 3])
def test_digests_are_of_the_bytes(method: Method, workers: int) -> None:
    """Of inputs and output, of tensors cut into many slices, packed, copied, empty and 0-d."""
    shapes = [(6 * SEGMENT + 5,), (3,), (40, 50), (), (0, 2), (SEGMENT,), (17,)]
    if isinstance(method, RowSoftmax):
        shapes = shapes[1:5]
    base, models = smooth(shapes, 2, 4, torch.bfloat16)
    for k, state in enumerate((base, *models)):
        state["bn.num_batches_tracked"] = torch.tensor(k)
        state["bn.running_mean"] = torch.full((9,), float(k))
    takes_base = method.needs.base
    with cut(**TINY):
        ran = run(method, models, base if takes_base else None, workers=workers, digests=True)
    if not isinstance(method, RowSoftmax):
        assert sum(len(task.pieces) for task in ran.plan.tasks) > 6
    records = ran.run.records
    assert records.keys() == ran.state.keys() == models[0].keys()

    def digest(state: State, name: str) -> str:
        return blake3.blake3(bits({name: state[name]})[name]).hexdigest()

    for name, record in records.items():
        assert record.digest == digest(ran.state, name)
        sources = [*models, base] if takes_base else models
        if name.endswith("tracked"):
            sources = [base if takes_base else models[0]]
        elif name.endswith("mean"):
            sources = models
        assert record.inputs == tuple(digest(state, name) for state in sources), name


def test_without_digests_records_have_none() -> None:
    ran = run(Average(), [tensors(3), tensors(3)])
    assert {record.digest for record in ran.run.records.values()} == {None}
    assert set(ran.run.records) == set(ran.state)


# ---- whole matrices


def matrices(dtype: torch.dtype = torch.float32) -> tuple[State, list[State]]:
    return smooth([(200, 130), (5, 7), (7, 5), (1, 1), (40, 900)], 2, 6, dtype)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_whole_matrix_method_sees_whole_matrices(workers: int) -> None:
    _, models = smooth([(300, 200), (4, 4), (), (6,), (2, 3, 4), (0, 5)], 2, 3)
    with cut(**TINY):
        ran = run(RowSoftmax(), models, weights=[1, 3], workers=workers)
    for name, found in ran.state.items():
        total = 0.25 * models[0][name] + 0.75 * models[1][name]
        expected = total.softmax(-1) if total.ndim else torch.ones(())
        assert torch.allclose(found, expected, atol=1e-6)
        assert found.shape == expected.shape


@pytest.mark.parametrize("reach", [2, 3])
def test_a_whole_matrix_method_that_settles(reach: int) -> None:
    """reach 2: each matrix by its own norm; 3: all by the norms of all."""
    base, models = matrices()
    with cut(**TINY):
        ran = run(Polar(reach=reach), models, base, weights=[1.0, 2.0], workers=2)
    norms = [
        {n: torch.linalg.matrix_norm((m[n] - base[n]).double(), 2).item() for n in base}
        for m in models
    ]
    for name, found in ran.state.items():
        norm = max(own[name] if reach == 2 else sum(own.values()) for own in norms)
        u, _, v = torch.linalg.svd(sum(m[name] - base[name] for m in models), full_matrices=False)
        assert torch.allclose(found, base[name] + norm * (u @ v), atol=1e-4 * (1 + norm))
    with cut(**TINY):
        again = run(Polar(reach=reach), models, base, weights=[1.0, 2.0], workers=1)
    assert bits(again.state) == bits(ran.state)


def test_a_matrix_too_large_for_the_memory_is_refused_with_what_it_needs() -> None:
    base, models = matrices()
    with pytest.raises(MergeError, match=r"polar works on whole matrices: .* needs 2 MiB .* has 1"):
        run(Polar(), models, base, memory=MIB, workers=1)
    run(Polar(), models, base, memory=3 * MIB, workers=1)


# ---- NaN and infinity


def poisoned(state: State, name: str, at: int, value: float = math.nan) -> State:
    tensor = state[name].clone()
    tensor.view(-1)[at] = value
    return {**state, name: tensor}


SHAPES = [(5,), (3, 3), (4 * SEGMENT + 3,), (100,), (), (33,)]
METHODS = [
    Average(),
    Ties(),
    Ties(trim="tensor"),
    Slerp(),
    ModelStock(),
    Median(),
    TaskArithmetic(),
    Dare(),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_nan_is_named_with_its_model_and_tensor(method: Method, dtype: torch.dtype) -> None:
    """Wherever it lies: in packed small tensors, in a late slice, in the last element."""
    base, models = smooth(SHAPES, 2, 2, dtype)
    places = [(name, at) for name in list(base)[1::2] for at in (0, -1)]
    places += [("layers.2.weight", 2 * SEGMENT + 1), ("layers.4.weight", 0)]
    with cut(**TINY, UNSAMPLED=SEGMENT):
        for i, (name, at) in enumerate(places):
            wrong = i % (3 if method.needs.base else 2)
            states = [
                poisoned(s, name, at, [math.nan, math.inf, -math.inf][i % 3]) if k == wrong else s
                for k, s in enumerate([*models, base])
            ]
            label = ["a", "b", "base"][wrong]
            with pytest.raises(NonFiniteError, match=f"^'{name}' in {label} holds NaN or inf"):
                run(method, states[:2], states[2] if method.needs.base else None)


@pytest.mark.parametrize("method", [*METHODS, RowSoftmax()], ids=repr)
def test_what_is_not_finite_passes_where_it_is_allowed(method: Method) -> None:
    """NaN and both infinities, in every input, also where norms and thresholds are summed up."""
    base, models = smooth(SHAPES, 2, 2)
    states = []
    for state in (*models, base):
        for at, value in ((0, math.inf), (3 * SEGMENT, -math.inf), (-1, math.nan)):
            state = poisoned(state, "layers.2.weight", at, value)
        states.append(poisoned(state, "layers.4.weight", 0, math.inf))
    base = states[2] if method.needs.base else None
    with cut(**TINY, UNSAMPLED=SEGMENT):
        ran = run(method, states[:2], base, allow_non_finite=True)
    assert not ran.state["layers.2.weight"].isfinite().all()
    if not isinstance(method, Ties | RowSoftmax):
        assert ran.state["layers.3.weight"].isfinite().all()


@pytest.mark.parametrize("numel", [10, 3 * SEGMENT])
def test_overflow_of_the_stored_dtype_is_named_with_the_method(numel: int) -> None:
    """Finite in float32, beyond float16: in a packed small tensor and in a slice."""
    models = [{"ok": torch.ones(7), "w": torch.ones(numel), "z": torch.ones(3)} for _ in range(2)]
    models = [{n: t.half() for n, t in m.items()} for m in models]
    for model, value in zip(models, (60000.0, -60000.0), strict=True):
        model["w"][-1] = value
    text = r"^interpolate gives NaN or infinity in 'w' from finite inputs: .*range of float16"
    with cut(**TINY), pytest.raises(NonFiniteError, match=text):
        run(Interpolate(t=1.5), models)
    ran = run(Interpolate(t=1.5), models, allow_non_finite=True)
    assert ran.state["w"][-1].item() == -math.inf
    assert ran.state["w"][:-1].isfinite().all()
    wide = run(Interpolate(t=1.5), models, output={"dtype": "float32"})
    assert wide.state["w"][-1].item() == -120000.0


def test_sums_that_overflow_are_looked_at_again() -> None:
    """Every element is finite though their sum is not."""
    for dtype in (torch.float32, torch.bfloat16):
        model = {"w": torch.full((1000,), torch.finfo(dtype).max, dtype=dtype)}
        assert bits(run(Average(), [model, model]).state) == bits(model)
    half = {"w": torch.full((9,), 65504.0, dtype=torch.float16)}
    assert bits(run(Average(), [half, half]).state) == bits(half)


# ---- surveys and thresholds


class Surveys:
    """What Ties.survey is called with: sampled elements, surveyed elements, how many rounds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original, lock = Ties.survey, threading.Lock()
        self.sampled = self.surveyed = 0
        self.hints: set[object] = set()

        def survey(method: Ties, stack: Stack, hint: Settled | None) -> object:
            with lock:
                if stack.runs:
                    self.sampled += stack.models[0].numel()
                else:
                    self.surveyed += stack.models[0].numel()
                    self.hints.add(None if hint is None else tuple(hint.values.items()))
            return original(method, stack, hint)

        monkeypatch.setattr(Ties, "survey", survey)


@pytest.fixture
def surveys(monkeypatch: pytest.MonkeyPatch) -> Surveys:
    return Surveys(monkeypatch)


LARGE = [(9 * SEGMENT + 3,), (3, 2), (2 * SEGMENT,), (50,)]


def thresholds_of(models: list[State], base: State, density: float) -> list[float]:
    found = []
    for model in models:
        delta = torch.cat([(model[n].float() - base[n].float()).view(-1) for n in base]).abs()
        ordered = np.sort(delta.numpy())[::-1]
        found.append(float(ordered[max(1, int(density * ordered.size)) - 1]))
    return found


def kept_of(models: list[State], base: State, limits: list[float]) -> list[int]:
    return [
        sum(int(((m[n].float() - base[n].float()).abs() >= limit).sum()) for n in base)
        for m, limit in zip(models, limits, strict=True)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("density", [0.001, 0.2, 0.9, 1.0])
def test_a_model_s_threshold_takes_a_sample_and_one_survey(
    surveys: Surveys, density: float, dtype: torch.dtype
) -> None:
    base, models = smooth(LARGE, 2, 1, dtype)
    numel = sum(t.numel() for t in base.values())
    with cut(**TINY):
        ran = run(Ties(density=density), models, base, workers=3)
    assert 0 < surveys.sampled <= numel / 7
    assert surveys.surveyed == numel
    assert len(surveys.hints) == 1
    limits = thresholds_of(models, base, density)
    (report,) = ran.run.reports
    assert report["threshold"] == list(limits)
    assert report["kept"] == kept_of(models, base, limits)
    assert report["total"] == numel
    assert (report["tensors"], report["models"]) == (4, [0, 1])


def test_a_missed_bracket_costs_a_survey_and_changes_nothing(
    surveys: Surveys, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, models = smooth(LARGE, 2, 1)
    expected = run(Ties(), models, base, workers=1)
    (report,) = expected.run.reports
    for wrong in ((0, 1000), (2**30, 2**30 + 5), (-1, 0)):
        monkeypatch.setattr(thresholds, "_bracket", lambda *about, wrong=wrong: wrong)
        surveys.surveyed, surveys.hints = 0, set()
        with cut(**TINY):
            ran = run(Ties(), models, base, workers=2)
        assert len(surveys.hints) > 1
        assert surveys.surveyed == len(surveys.hints) * report["total"]
        assert bits(ran.state) == bits(expected.state)
        assert ran.run.reports == [report]


def test_a_small_model_is_surveyed_without_a_sample(surveys: Surveys) -> None:
    base, models = smooth([(100, 50), (7,)], 2, 1)
    run(Ties(), models, base)
    assert (surveys.sampled, surveys.surveyed) == (0, 5007)


def test_tensors_too_small_to_be_sampled(surveys: Surveys) -> None:
    """Together they would call for a sample, but no run fits into any of them."""
    base, models = smooth([(100,)] * 40, 1, 1)
    with cut(UNSAMPLED=1000):
        ran = run(Ties(), models, base)
    assert (surveys.sampled, surveys.surveyed) == (0, 4000)
    assert ran.run.reports[0]["threshold"] == list(thresholds_of(models, base, 0.2))


def test_a_sample_larger_than_an_arena_is_taken_in_parts(surveys: Surveys) -> None:
    """An eighth of twenty segments, where an arena holds one."""
    base, models = smooth([(20 * SEGMENT,), (9,)], 2, 1)
    expected = run(Ties(), models, base).state
    with cut(**TINY, SPACING=8 * desk.RUN):
        ran = run(Ties(), models, base, memory=8 * MIB)
    assert ran.plan.arena < 20 * SEGMENT // 8 * 3 * 4
    assert surveys.sampled > 2 * SEGMENT
    assert bits(ran.state) == bits(expected)


def test_a_sample_is_bounded_and_evenly_spread() -> None:
    """However large the model: at most about RUNS runs, none closer than SPACING."""
    for size in (2**19, 2**24, 2**32):
        specs = {"a": ((size,), torch.float32), "b": ((64,), torch.float32)}
        specs["c"] = ((size // 3,), torch.float32)
        models = [names_only(label, specs) for label in ("base", "a")]
        made = make_plan(resolved(Ties(), models[1:], models[0]), memory=2**28, workers=2)
        batches = surveying.sample_of(made.surveys[0])
        first, last = (
            [
                start
                for batch in batches
                for a, starts in batch.runs
                if a.name == name
                for start in starts
            ]
            for name in "ac"
        )
        gaps = {after - before for before, after in pairwise(first)}
        assert len(gaps) == 1
        assert gaps == {after - before for before, after in pairwise(last)}
        assert min(gaps) >= surveying.SPACING
        assert (size + 64 + last[0] - first[-1]) % min(gaps) == 0
        assert len(first) + len(last) <= 2 * surveying.RUNS
        assert all(
            sum(len(starts) for _, starts in batch.runs) <= 2 * surveying.BATCH for batch in batches
        )
        assert max(last) + desk.RUN <= size // 3


def test_rules_with_other_values_have_thresholds_of_their_own() -> None:
    """A survey for each method value: those that share it are ranked together, and no others."""
    shapes = [(3000,), (2 * SEGMENT + 1,), (500,), (70,)]
    base, models = smooth(shapes, 2, 1)
    rules = [
        {"match": "layers.[02].*", "method": {"name": "ties", "density": 0.5}},
        {"match": "layers.3.*", "method": "average"},
    ]
    with cut(**TINY):
        ran = run(Ties(density=0.1), models, base, rules=rules)
    groups = {0.1: ["layers.1.weight"], 0.5: ["layers.0.weight", "layers.2.weight"]}
    reports = {report["method"]: report for report in ran.run.reports}
    assert len(reports) == 2
    for density, names in groups.items():
        report = reports[repr(Ties(density=density))]
        part = [{n: m[n] for n in names} for m in models]
        limits = thresholds_of(part, {n: base[n] for n in names}, density)
        assert report["threshold"] == limits
        assert report["tensors"] == len(names)
    average = run(Average(), models).state
    assert torch.equal(ran.state["layers.3.weight"], average["layers.3.weight"])


def test_what_a_tensor_settles_is_in_its_record() -> None:
    base, models = smooth([(3 * SEGMENT,), (40,)], 2, 1)
    with cut(**TINY):
        ran = run(ModelStock(), models, base)
    for name, record in ran.run.records.items():
        deltas = [(m[name] - base[name]).double() for m in models]
        cosine = torch.cosine_similarity(deltas[0], deltas[1], dim=0).item()
        assert record.report is not None
        assert record.report["cosine"] == pytest.approx(max(cosine, 0), abs=1e-9)
    assert ran.run.reports == []


# ---- odds and ends


@pytest.mark.parametrize("shape", [(5,), (3 * SEGMENT,)])
def test_tied_tensors_stay_tied_under_randomness(shape: tuple[int, ...]) -> None:
    """Tensors that share their memory in every input draw the same mask, and stay equal."""
    base, (model,) = smooth([shape], 1, 1)
    (name,) = base
    tied = [{name: s[name], "lm_head.weight": s[name]} for s in (base, model)]
    state = run(Dare(), [tied[1]], tied[0]).state
    assert torch.equal(state[name], state["lm_head.weight"])
    apart = [{name: s[name], "lm_head.weight": s[name].clone()} for s in (base, model)]
    state = run(Dare(), [apart[1]], apart[0]).state
    assert not torch.equal(state[name], state["lm_head.weight"])


def test_non_contiguous_and_shared_inputs_are_read_by_value() -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    model = {"t": whole.T, "row": whole[1], "column": whole[:, 2], "every": whole[::2, ::3]}
    merged = run(Average(), [model, model]).state
    for name, tensor in model.items():
        assert torch.equal(merged[name], tensor)


def test_bytes_moved_are_those_of_the_plan() -> None:
    base, models = smooth(LARGE, 2, 1)
    for method in (Average(), Ties(), Slerp()):
        with cut(**TINY):
            ran = run(method, models, base if method.needs.base else None, workers=2)
        assert ran.run.bytes_read == ran.plan.bytes_read
        assert ran.run.bytes_written == ran.plan.bytes_written


def test_what_was_settled_is_surveyed_once_for_methods_that_settle_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Candidates of a search that differ in scale have one threshold; another density another."""
    base, models = smooth([(300, 40), (50,)], 3, 5)
    opened = [from_state_dict(state, str(k)) for k, state in enumerate([base, *models])]
    options, settled = Options(workers=1), dict[object, Settled]()
    asked, survey = list[str](), Ties.survey

    def counted(self: Ties, stack: Stack, hint: Settled | None) -> Facts:
        asked.append(stack.name)
        return survey(self, stack, hint)

    monkeypatch.setattr(Ties, "survey", counted)
    counts = list[int]()
    for scale, density, weight in [(1, 0.2, 1), (2, 0.2, 1), (2, 0.3, 1), (2, 0.2, 1), (2, 0.2, 3)]:
        method = Ties(scale=scale, density=density, trim="model")
        entries = [{"path": str(k), "weight": weight} for k in (1, 2, 3)]
        recipe = parse_recipe({"method": method, "models": entries, "base": "0"})
        asked.clear()
        found = merge_opened(recipe, opened[1:], opened[0], options, settled)
        counts.append(len(asked))
        alone = merge_opened(recipe, opened[1:], opened[0], options)
        assert all(torch.equal(found[name], alone[name]) for name in alone)
    assert counts[0] == counts[2] == counts[4] > 0
    assert counts[1] == counts[3] == 0
