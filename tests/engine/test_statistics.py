"""Statistics of a declared shape: found by name, streamed like models, verified, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.core import Needs, Statistic
from stockpot.engine import cutting
from stockpot.engine.options import Options
from stockpot.engine.prepare import prepare
from stockpot.engine.verify import verify
from stockpot.errors import MergeError, NonFiniteError
from stockpot.methods import Fisher
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.testing.cases import State, bits

from ..contract.giving import GramMean

OUT, IN = 12, 40
WEIGHTS = [1.0, 2.0, 0.5]
NAME = "layers.0.weight"


@pytest.fixture
def models() -> list[State]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            NAME: torch.randn(OUT, IN, generator=generator),
            "layers.0.bias": torch.randn(OUT, generator=generator),
        }
        for _ in WEIGHTS
    ]


@pytest.fixture
def grams() -> list[State]:
    """Of 200 inputs each, whose directions differ in length."""
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(200, IN, generator=generator) * torch.linspace(0.1, 3, IN)] * 2
    inputs.append(torch.randn(200, IN, generator=generator))
    return [{f"{NAME}.gram": (x * (k + 1)).T @ x} for k, x in enumerate(inputs)]


def expected(models: list[State], grams: list[State]) -> np.ndarray:
    """The closed form in float64."""
    rows = [model[NAME].double().numpy() for model in models]
    given = [one[f"{NAME}.gram"].double().numpy() for one in grams]
    shares = [weight * gram for weight, gram in zip(WEIGHTS, given, strict=True)]
    moved = sum(row @ share for row, share in zip(rows, shares, strict=True))
    return moved @ np.linalg.inv(sum(shares))


def saved(folder: Path, states: list[State], what: str) -> list[Path]:
    for k, state in enumerate(states):
        save_file(state, folder / f"{what}-{k}.safetensors")
    return [folder / f"{what}-{k}.safetensors" for k in range(len(states))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("named", [f"{NAME}.gram", NAME])
def test_a_gram_matrix_beside_a_linear_layer(
    models: list[State], grams: list[State], named: str, dtype: torch.dtype
) -> None:
    given = [{named: one[f"{NAME}.gram"].to(dtype)} for one in grams]
    merged = sp.merge(models, GramMean(), weights=WEIGHTS, statistics=given)
    right = expected(models, grams)
    assert np.abs(merged[NAME].double().numpy() - right).max() < 1e-5 * np.abs(right).max()
    plain = sp.merge(models, sp.methods.Average(), weights=WEIGHTS)
    assert torch.equal(merged["layers.0.bias"], plain["layers.0.bias"])


def test_it_is_streamed_to_the_same_bits_and_verified(
    models: list[State], grams: list[State], tmp_path: Path
) -> None:
    paths, given = saved(tmp_path, models, "model"), saved(tmp_path, grams, "of")
    one = bits(sp.merge(models, GramMean(), weights=WEIGHTS, statistics=grams))
    for place, loaded in (("a", True), ("b", False)):
        out = tmp_path / place
        with pytest.MonkeyPatch.context() as patch:
            if not loaded:
                patch.setattr(cutting, "is_loaded", lambda *_: False)
            sp.merge_to(*(out, paths, GramMean()), weights=WEIGHTS, statistics=given, device="cpu")
        assert bits(load_file(out / "model.safetensors")) == one
        assert verify(out, recompute=True).ok
    changed = {n: t * 2 for n, t in grams[0].items()}
    save_file(changed, given[0])
    problems = verify(tmp_path / "a", recompute=True).problems
    assert any("other digests" in p and "of-0.safetensors" in p for p in problems), problems


def test_the_plan_counts_what_is_read(
    models: list[State], grams: list[State], tmp_path: Path
) -> None:
    paths, given = saved(tmp_path, models, "model"), saved(tmp_path, grams, "of")
    ingredients: list[dict[str, Any]] = [
        {"path": str(path), "statistics": str(of)} for path, of in zip(paths, given, strict=True)
    ]
    recipe = parse_recipe({"method": GramMean(), "models": ingredients})
    plan = prepare(recipe, Options(), tmp_path / "out").plan
    assert plan.bytes_read == 3 * 4 * (OUT * IN + OUT + IN * IN)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.ones(OUT, OUT), r"'layers.0.weight' is \(12, 40\), and so its gram must be "
         r"\(40, 40\); its statistics in statistics\[1\] are \(12, 12\)"),
        (torch.ones(IN, IN, dtype=torch.int64), "the statistics of 'layers.0.weight' are"),
        (None, r"'layers.0.weight' has no statistics in statistics\[1\]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(
    models: list[State], grams: list[State], wrong: torch.Tensor | None, words: str
) -> None:
    given = [*grams]
    given[1] = {"other": torch.ones(1)} if wrong is None else {f"{NAME}.gram": wrong}
    with pytest.raises(MergeError, match=words):
        sp.merge(models, GramMean(), statistics=given)


def test_nan_in_a_statistic_is_blamed_on_its_file(models: list[State], grams: list[State]) -> None:
    grams[2][f"{NAME}.gram"][3, 4] = float("nan")
    with pytest.raises(NonFiniteError, match=r"in statistics\[2\] holds NaN"):
        sp.merge(models, GramMean(), statistics=grams)


def test_fisher_takes_a_file_that_holds_other_statistics_too(
    models: list[State], grams: list[State]
) -> None:
    fisher = [{n: t.square() for n, t in model.items()} for model in models]
    both = [
        {f"{n}.fisher": t for n, t in one.items()} | gram
        for one, gram in zip(fisher, grams, strict=True)
    ]
    one = sp.merge(models, Fisher(), statistics=fisher)
    assert bits(sp.merge(models, Fisher(), statistics=both)) == bits(one)


def test_a_shape_of_its_own_takes_a_whole_method() -> None:
    with pytest.raises(TypeError, match="gram has a shape of its own"):
        Needs(statistics=(Statistic("gram", (-1, -1)),))
    assert Statistic("gram", (-1, -1)).shape(()) is None
    assert Statistic("rows", (0,)).shape((3, 4)) == (3,)
    assert Statistic("fisher").shape((3, 4)) == (3, 4)
