"""One pass against whole tensors in float64 NumPy; its bits; what it leaves out, and why."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy import stats

from stockpot.core import SEGMENT
from stockpot.errors import CheckpointError, FieldError, MergeError
from stockpot.studies import statistics_of
from stockpot.studies.onepass.statistics import centred, cosine

LARGE = 5 * SEGMENT + 17


def family(count, dtype=torch.float32, size=LARGE, seed=0, grid=None):
    """A base and models near it; on a grid of 2^-12, sums of a few are exact in float32."""
    made = torch.Generator().manual_seed(seed)

    def some(*shape, scale):
        values = scale * torch.randn(*shape, generator=made, dtype=torch.float64)
        return (values * grid).round() / grid if grid else values

    shapes = {"w": (size,), "conv.weight": (4, 3, 3, 3), "norm.weight": (64,)}
    base = {name: some(*shape, scale=0.1) + (name[0] == "n") for name, shape in shapes.items()}
    models = [
        {name: (one + some(*one.shape, scale=0.02)).to(dtype) for name, one in base.items()}
        for _ in range(count)
    ]
    return models, {name: one.to(dtype) for name, one in base.items()}


def reference(models, base, name):
    """Gram, task vectors' Gram and signs of one tensor, from float64 matrices as a whole."""
    rows = np.stack([one[name].double().numpy().ravel() for one in models])
    centre = rows.mean(0) if base is None else base[name].double().numpy().ravel()
    deltas = rows - centre
    signs = np.sign(np.where(np.abs(deltas) < 1e-12, 0, deltas))
    count = len(rows)
    there = signs != 0
    agree = [
        [(signs[i] == signs[j])[there[i] & there[j]].mean() for j in range(count)]
        for i in range(count)
    ]
    up, down = (signs > 0).sum(0), (signs < 0).sum(0)
    return {
        "gram": rows @ rows.T,
        "deltas": deltas @ deltas.T,
        "nonzero": there.mean(1),
        "agree": agree,
        "majority": np.maximum(up, down).sum() / there.sum(),
        "unanimous": (np.minimum(up, down) == 0)[up + down > 0].mean(),
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("with_base", [False, True])
def test_every_number_is_that_of_whole_tensors(dtype, count, with_base):
    models, base = family(count, dtype, grid=2**12 if dtype.itemsize > 2 else 2**7)
    base = base if with_base else None
    found = statistics_of(models, base)
    assert [one.name for one in found.tensors] == list(models[0])
    assert [one.role for one in found.tensors] == ["vector", "conv", "vector"]
    for one in found.tensors:
        wanted = reference(models, base, one.name)
        scale = np.abs(wanted["deltas"]).max()
        assert np.allclose(one.gram, wanted["gram"], rtol=1e-12)
        assert np.allclose(one.deltas, wanted["deltas"], rtol=0, atol=1e-11 * scale)
        assert np.allclose(one.around_mean, reference(models, None, one.name)["deltas"], atol=1e-9)
        assert one.centre == ("base" if with_base else "mean")
        assert np.allclose(one.signs.nonzero, wanted["nonzero"], rtol=1e-12)
        assert np.allclose(one.signs.agree, wanted["agree"], rtol=1e-12, equal_nan=True)
        assert math.isclose(one.signs.majority, wanted["majority"], rel_tol=1e-12)
        assert math.isclose(one.signs.unanimous, wanted["unanimous"], rel_tol=1e-12)
        for model, entries in zip(models, one.models, strict=True):
            plain = model[one.name].double().numpy().ravel()
            assert math.isclose(entries.moments.mean, plain.mean(), rel_tol=1e-9, abs_tol=1e-12)
            assert math.isclose(entries.moments.std, plain.std(), rel_tol=1e-9)
            assert math.isclose(entries.moments.skewness, stats.skew(plain), abs_tol=1e-7)
            assert math.isclose(entries.moments.kurtosis, stats.kurtosis(plain), abs_tol=1e-7)
        assert (one.base is not None) == with_base


def test_task_vectors_that_are_tiny_beside_the_weights_keep_their_products():
    made = torch.Generator().manual_seed(3)
    base = {"w": 100 + torch.randn(1000, generator=made, dtype=torch.float64)}
    models = [
        {"w": base["w"] + 1e-7 * torch.randn(1000, generator=made, dtype=torch.float64)}
        for _ in range(2)
    ]
    rows = torch.stack([one["w"] - base["w"] for one in models]).numpy()
    assert np.allclose(statistics_of(models, base).tensors[0].deltas, rows @ rows.T, rtol=1e-12)
    pair = rows - rows.mean(0)
    assert np.allclose(statistics_of(models).tensors[0].deltas, pair @ pair.T, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("with_base", [False, True])
def test_bits_do_not_depend_on_workers_or_memory(dtype, with_base):
    models, base = family(3, dtype)
    base = base if with_base else None
    found = [
        statistics_of(models, base, memory=memory, workers=workers)
        for memory, workers in [("1GiB", 1), ("1GiB", 3), ("40MiB", 2), ("20MiB", 1)]
    ]
    assert all(repr(one) == repr(found[0]) for one in found)
    with pytest.raises(MergeError, match="raise it"):
        statistics_of(models, base, memory="1MiB")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**20), st.integers(2, 5), st.booleans(), st.permutations(range(5)))
def test_permuting_models_permutes_the_result(seed, count, with_base, order):
    models, base = family(count, size=300, seed=seed)
    base = base if with_base else None
    order = [k for k in order if k < count]
    one = statistics_of(models, base).tensors[0]
    other = statistics_of([models[k] for k in order], base).tensors[0]
    assert tuple(one.models[k] for k in order) == other.models
    scale = max(one.deltas[k][k] for k in range(count))
    for name, size in (("gram", one.gram[0][0]), ("deltas", scale)):
        matrix = np.asarray(getattr(one, name))[np.ix_(order, order)]
        assert np.allclose(matrix, getattr(other, name), atol=1e-6 * size, rtol=0)
    assert np.all(np.linalg.eigvalsh(np.asarray(one.deltas)) > -1e-9 * scale)
    assert np.allclose(np.diag(one.signs.agree), 1)
    assert 0.5 <= one.signs.majority <= 1


def test_files_and_state_dicts_give_the_same_and_the_base_may_have_another_dtype(tmp_path):
    models, base = family(2, torch.bfloat16)
    paths = [tmp_path / f"m{k}.safetensors" for k in range(2)]
    for path, model in zip(paths, models, strict=True):
        save_file(model, path)
    names = [path.stem for path in paths]
    on_disk, wide = statistics_of(paths), {n: t.double() for n, t in base.items()}
    assert on_disk.names == ("m0", "m1")
    by_name = {one.name: one for one in statistics_of(models, names=names).tensors}
    assert {one.name: one for one in on_disk.tensors} == by_name
    assert by_name["w"].models[0].dtype == "bfloat16"
    found = statistics_of(paths, wide)
    assert found.tensors[0].base.dtype == "float64"
    assert found.base == "the base"


def test_copies_have_no_task_vectors():
    models, _ = family(1)
    one = statistics_of(models * 3).tensors[0]
    assert not np.any(one.deltas)
    assert one.signs.nonzero == (0, 0, 0)
    assert math.isnan(one.signs.majority)
    assert math.isnan(cosine(one.deltas, 0, 1))
    assert math.isclose(cosine(one.gram, 0, 1), 1)


def test_one_model_has_a_scope():
    models, base = family(1)
    assert statistics_of(models).tensors[0].deltas == ((0.0,),)
    assert statistics_of(models, base).tensors[0].deltas[0][0] > 0


def test_what_is_left_out_is_listed_with_the_reason():
    fine, bad = torch.ones(3), torch.tensor([1.0, math.nan, 2.0])
    whole, tied = torch.arange(3), torch.ones(2, 2)
    first = {
        "ok": fine, "nan": fine, "whole": whole, "head": fine, "shape": fine, "only": fine,
        "empty": torch.empty(0), "tied": tied, "tied2": tied,
    }  # fmt: skip
    second = {
        "ok": fine, "nan": bad, "whole": whole, "head": fine, "shape": tied, "other": fine,
        "empty": torch.empty(0), "tied": (again := tied.clone()), "tied2": again,
    }  # fmt: skip
    found = statistics_of([first, second], private=["head"], names=["a", "b"])
    assert [one.name for one in found.tensors] == ["ok", "tied"]
    assert {one.name: one.reason for one in found.left} == {
        "nan": "holds NaN, infinity or what is next to it in b",
        "whole": "holds whole numbers (int64)",
        "head": "is each model's own",
        "shape": "has shapes (3,), (2, 2)",
        "only": "is missing in b",
        "other": "is missing in a",
        "empty": "is empty",
        "tied2": "is a second name of 'tied'",
    }


def test_a_base_that_lacks_a_tensor_leaves_it_to_the_mean():
    models, base = family(2)
    del base["w"]
    base["norm.weight"] = torch.ones(2)
    centres = {one.name: one.centre for one in statistics_of(models, base).tensors}
    assert centres == {"w": "mean", "conv.weight": "base", "norm.weight": "mean"}


def test_refusals(tmp_path):
    with pytest.raises(FieldError, match="one or more"):
        statistics_of([])
    with pytest.raises(FieldError, match="names"):
        statistics_of([{"w": torch.ones(1)}], names=["a", "b"])
    with pytest.raises(CheckpointError):
        statistics_of([tmp_path / "none.safetensors"])


@given(st.lists(st.lists(st.floats(-9, 9), min_size=4, max_size=4), min_size=1, max_size=5))
def test_centring_a_gram_matrix_is_that_of_centred_rows(rows):
    plain = np.asarray(rows)
    off = plain - plain.mean(0)
    gram = tuple(map(tuple, (plain @ plain.T).tolist()))
    assert np.allclose(centred(gram), off @ off.T, atol=1e-9)
