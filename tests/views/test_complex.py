"""Complex numbers are merged as their real and imaginary parts, in files as in Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.engine.verify import verify
from stockpot.errors import StockpotError
from stockpot.methods import (
    Average,
    Cart,
    Dare,
    IsoC,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
)

SPECTRAL = "blocks.0.spectral.weight"


def states(count: int, dtype: torch.dtype = torch.complex64) -> list[dict[str, torch.Tensor]]:
    g = torch.Generator().manual_seed(0)
    return [
        {
            SPECTRAL: torch.randn(4, 5, 3, dtype=dtype, generator=g),
            "blocks.0.attn.weight": torch.randn(6, 6, generator=g),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_averages_are_those_of_complex_numbers(dtype: torch.dtype) -> None:
    given = states(3, dtype)
    found = sp.merge(given, Average(), weights=[1, 2, 5])[SPECTRAL]
    parts = [state[SPECTRAL].numpy().astype(np.complex128) for state in given]
    expected = (parts[0] + 2 * parts[1] + 5 * parts[2]) / 8
    assert found.dtype == dtype
    assert found.shape == (4, 5, 3)
    limit = 1e-7 if dtype == torch.complex64 else 1e-15
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=3 * limit)


@pytest.mark.parametrize(
    "method",
    [
        TaskArithmetic(scale=0.3),
        Ties(density=0.4),
        ModelStock(),
        Median(),
        Slerp(),
        Dare(density=0.5),
    ],
    ids=repr,
)
def test_every_method_sees_pairs_of_real_numbers(method: Any) -> None:
    base, *models = states(3)
    real = [{**state, SPECTRAL: torch.view_as_real(state[SPECTRAL])} for state in (base, *models)]
    with_base = {"base": base} if method.needs.base else {}
    real_base = {"base": real[0]} if method.needs.base else {}
    found = sp.merge(models, method, **with_base)[SPECTRAL]
    expected = sp.merge(real[1:], method, **real_base)[SPECTRAL]
    assert torch.equal(torch.view_as_real(found), expected)


@pytest.mark.parametrize("method", [Cart(tensors="matrices"), IsoC(tensors="matrices")])
def test_decompositions_leave_them_to_their_rest(method: Any) -> None:
    base, *models = states(3)
    flat = [state | {SPECTRAL: state[SPECTRAL][:, :, 0]} for state in (base, *models)]
    with_base = {"base": flat[0]} if method.needs.base else {}
    found = sp.merge(flat[1:], method, **with_base)[SPECTRAL]
    mean = (flat[1][SPECTRAL] + flat[2][SPECTRAL]) / 2
    torch.testing.assert_close(found, mean, rtol=1e-5, atol=1e-6)


def test_files_give_what_python_gives(tmp_path: Path) -> None:
    given = states(2)
    torch.save(given[0], tmp_path / "a.pt")
    save_file(given[1], tmp_path / "b.safetensors")
    sp.merge_to(
        tmp_path / "o.safetensors", [tmp_path / "a.pt", tmp_path / "b.safetensors"], Average()
    )
    found, expected = load_file(tmp_path / "o.safetensors"), sp.merge(given, Average())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert verify(tmp_path / "o.safetensors", recompute=True).problems == ()


def test_the_dtype_of_real_tensors_is_not_theirs() -> None:
    found = sp.merge(states(2), Average(), dtype="bfloat16")
    assert found[SPECTRAL].dtype == torch.complex64
    assert found["blocks.0.attn.weight"].dtype == torch.bfloat16


def test_two_widths_are_joined() -> None:
    mixed = sp.merge([states(1)[0], states(1, torch.complex128)[0]], Average())
    assert mixed[SPECTRAL].dtype == torch.complex128


def test_what_no_file_can_hold_is_refused_before_the_work(tmp_path: Path) -> None:
    torch.save(states(1, torch.complex128)[0], tmp_path / "a.pt")
    expected = f"'{SPECTRAL}' is complex128, which safetensors files cannot hold"
    with pytest.raises(StockpotError, match=expected):
        sp.merge_to(tmp_path / "o", [tmp_path / "a.pt"] * 2, Average())
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("bad", [complex(float("nan"), 0), complex(0, float("inf"))])
def test_what_is_not_finite_is_refused(bad: complex) -> None:
    models = states(2)
    models[1][SPECTRAL][0, 0, 0] = bad
    with pytest.raises(StockpotError, match=rf"'{SPECTRAL}' in models\[1\] holds NaN or infinity"):
        sp.merge(models, Average())


def test_a_conjugate_view_is_taken_for_what_it_is() -> None:
    a, b = states(2)
    found = sp.merge([{SPECTRAL: a[SPECTRAL].conj()}, {SPECTRAL: b[SPECTRAL]}], Average())
    torch.testing.assert_close(found[SPECTRAL], (a[SPECTRAL].conj() + b[SPECTRAL]) / 2)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_whole_numbers_are_copied_alike_and_told(
    dtype: torch.dtype, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the base, else the first model, in files as in Python."""
    given = [{"w": torch.zeros(2), "index": torch.full((3,), i).to(dtype)} for i in range(3)]
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, state in zip(paths, given, strict=True):
        save_file(state, path)
    for base, source in ((None, 1), (0, 0)):
        caplog.clear()
        in_python = sp.merge(given[1:], Average(), base=None if base is None else given[base])
        note = "counters that differ between the models are copied: 'index'."
        assert (note in caplog.text) == (dtype != torch.bool)
        out = tmp_path / f"out-{source}"
        sp.merge_to(out, paths[1:], Average(), base=None if base is None else paths[base])
        for found in (in_python, load_file(out / "model.safetensors")):
            assert found["index"].dtype == dtype
            assert torch.equal(found["index"], given[source]["index"])
