"""CART's factors on disk: the merge at any rank and scale, single tasks, and what they take."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from stockpot.errors import CheckpointError, FieldError, MergeError, NonFiniteError, OutputError
from stockpot.factors import Factored, factor_to, read_factored, stored_factors
from stockpot.methods import Average, Cart, CartFactors
from stockpot.testing.cases import State, smooth

SHAPES = [(60, 70), (33,), (150, 140), (2, 3, 4)]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    _, models = smooth(SHAPES, 4, 0)
    for k, state in enumerate(models):
        save_file(state, tmp_path / f"{k}.safetensors")
    return [tmp_path / f"{k}.safetensors" for k in range(4)]


def close(one: State, other: State, tolerance: float = 1e-5) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=0, atol=tolerance), name


def merged(paths: list[Path], method: Cart, weights: list[float] | None = None) -> State:
    return sp.merge([load_file(path) for path in paths], method, weights=weights)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0, 1.0]])
def test_factors_merge_at_any_smaller_rank_and_any_scale(
    paths: list[Path], tmp_path: Path, weights: list[float] | None
) -> None:
    method = Cart(rank=0.3, conv="as-matrix")
    kept = factor_to(tmp_path / "f", paths, method, weights=weights)
    for rank, scale in ((0.3, 1.0), (0.12, 2.0), (0.05, -0.5)):
        expected = merged(paths, Cart(rank=rank, scale=scale, conv="as-matrix"), weights)
        close(kept.merged(rank=rank, scale=scale), expected)


def test_a_sweep_is_every_merge(paths: list[Path], tmp_path: Path) -> None:
    kept = factor_to(tmp_path / "f", paths, Cart(rank=0.4))
    seen = []
    for rank, scale, state in kept.sweep([0.4, 0.1, 0.02], [0.5, 2.0]):
        close(state, merged(paths, Cart(rank=rank, scale=scale)))
        seen.append((rank, scale))
    assert seen == [(r, s) for r in (0.02, 0.1, 0.4) for s in (0.5, 2.0)]


def test_a_task_is_restored_from_the_average_and_its_factors(
    paths: list[Path], tmp_path: Path
) -> None:
    kept = factor_to(tmp_path / "f", paths, Cart(rank=1.0))
    average = sp.merge([load_file(path) for path in paths], Average())
    for index, path in enumerate(paths):
        model, restored = load_file(path), kept.task(index)
        close({n: restored[n] for n in kept.views}, {n: model[n] for n in kept.views}, 5e-6)
        assert torch.equal(restored["layers.1.weight"], average["layers.1.weight"])
    low = kept.task(2, rank=0.1)

    def distance(state: dict[str, Tensor]) -> float:
        model = load_file(paths[2])
        return sum(float((state[n] - model[n]).norm()) for n in kept.views)

    assert distance(kept.task(2)) < distance(low) < distance(average)


def test_sizes_are_those_of_the_files(paths: list[Path], tmp_path: Path) -> None:
    kept = factor_to(tmp_path / "f", paths, Cart(rank=0.1))
    one = sum(t.nbytes for t in load_file(paths[0]).values())
    factors = 4 * 4 * (6 * (60 + 70) + 14 * (150 + 140))
    assert kept.sizes == {"models": 4 * one, "average": one, "factors": factors}
    again = read_factored(tmp_path / "f")
    assert (again.method, again.tasks) == (CartFactors(rank=0.1), tuple(p.name for p in paths))
    assert again.sizes == kept.sizes


def test_what_is_there_is_not_computed_again(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factor_to(tmp_path / "f", paths, Cart(rank=0.1))
    monkeypatch.setattr("stockpot.methods.cart_factors.top_k", None)
    assert isinstance(factor_to(tmp_path / "f", paths, Cart(rank=0.1)), Factored)
    with pytest.raises(sp.StockpotError, match="exists"):
        factor_to(tmp_path / "f", paths, Cart(rank=0.2))


def test_what_cannot_be_is_refused(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no factors"):
        read_factored(tmp_path)
    for method in (Cart(around="base"), Cart(energy=0.5), Cart(rank_count=3)):
        with pytest.raises(MergeError, match="around the average"):
            factor_to(tmp_path / "f", paths, method)
    kept = factor_to(tmp_path / "f", paths, Cart(rank=0.1))
    for rank in (0.0, 1.5, 0.2):
        with pytest.raises(FieldError, match="rank"):
            kept.merged(rank=rank)
    nan = load_file(paths[0])
    nan["layers.0.weight"][0, 0] = float("nan")
    save_file(nan, paths[0])
    with pytest.raises(NonFiniteError, match=r"'layers.0.weight' in .*0.safetensors holds NaN"):
        factor_to(tmp_path / "g", paths, Cart(rank=0.1))
    assert not (tmp_path / "g").exists()


def test_factors_are_found_by_content_whatever_the_files_are_called(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    kept = stored_factors(store, paths, Cart(rank=0.2))
    copies = [tmp_path / f"copy-{k}.safetensors" for k in range(4)]
    for path, copy in zip(paths, copies, strict=True):
        save_file(load_file(path), copy, {"note": "other bytes in the header"})
    with monkeypatch.context() as patched:
        patched.setattr("stockpot.methods.cart_factors.top_k", None)
        again = stored_factors(store, copies, Cart(rank=0.1, scale=3.0))
    assert again.path == kept.path
    close(again.merged(rank=0.1, scale=2.0), merged(paths, Cart(rank=0.1, scale=2.0)))
    assert stored_factors(store, copies, Cart(rank=0.3)).path == kept.path
    assert read_factored(kept.path).method.rank == 0.3
    others = {
        stored_factors(store, copies[::-1], Cart(rank=0.2)).path,
        stored_factors(store, copies, Cart(rank=0.2), weights=[1.0, 2.0, 1.0, 1.0]).path,
        stored_factors(store, copies, Cart(rank=0.2, conv="as-matrix")).path,
    }
    changed = load_file(paths[0])
    changed["layers.1.weight"][0] += 1
    save_file(changed, paths[0])
    others.add(stored_factors(store, paths, Cart(rank=0.2)).path)
    assert len(others | {kept.path}) == 5


def test_a_store_stays_within_its_limit_and_forgets_what_was_used_longest_ago(
    paths: list[Path], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "notes.txt").write_text("not factors")
    orders = [paths, paths[::-1], [*paths[1:], paths[0]]]
    found = [stored_factors(store, order, Cart(rank=0.1)).path for order in orders[:2]]
    size = sum(file.stat().st_size for file in found[0].rglob("*"))
    os.utime(found[0], (1, 1))
    os.utime(found[1], (2, 2))
    stored_factors(store, orders[0], Cart(rank=0.1))  # used again
    third = stored_factors(store, orders[2], Cart(rank=0.1), limit=int(2.5 * size)).path
    assert {path for path in store.iterdir() if path.is_dir()} == {found[0], third}
    assert (store / "notes.txt").is_file()
    with pytest.raises(OutputError, match="more than the limit of 1kB"):
        stored_factors(store, orders[1], Cart(rank=0.1), limit="1kB")
    assert found[0].is_dir()
