import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.ops.spectra.gram import gram
from stockpot.ops.sphere import slerp_coefficients


def at_angle(omega: float, first: float = 1.0, second: float = 1.0) -> torch.Tensor:
    """The Gram matrix of two vectors of these lengths."""
    cross = first * second * math.cos(omega)
    return torch.tensor([[first**2, cross], [cross, second**2]], dtype=torch.float64)


@given(
    st.floats(0.01, math.pi - 0.01), st.floats(-2, 3), st.floats(0.01, 100), st.floats(0.01, 100)
)
def test_coefficients_lead_along_the_arc(
    omega: float, t: float, first: float, second: float
) -> None:
    """On unit vectors the point is at angle t ω from the first and has length 1."""
    a, b, cosine = slerp_coefficients(at_angle(omega, first, second), t, 1.0)
    assert math.isclose(cosine, math.cos(omega), abs_tol=1e-9)
    point = complex(a) + b * complex(math.cos(omega), math.sin(omega))
    expected = complex(math.cos(t * omega), math.sin(t * omega))
    assert abs(point - expected) < 1e-6


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, -1.0, 2.5])
@pytest.mark.parametrize(
    "gram_22",
    [
        at_angle(0),
        at_angle(0, 1, 2),
        at_angle(math.pi),
        at_angle(math.pi, 3, 0.1),
        at_angle(1.0, 0.0, 1.0),
        at_angle(1.0, 1.0, 0.0),
        torch.zeros(2, 2, dtype=torch.float64),
    ],
)
def test_without_an_arc_it_is_the_line(gram_22: torch.Tensor, t: float) -> None:
    for lerp_above in (0.0, 0.9995, 1.0):
        assert slerp_coefficients(gram_22, t, lerp_above)[:2] == (1 - t, t)


def test_copies_have_no_arc_whatever_rounding_says() -> None:
    """Gram entries of a copy are equal; of a multiple they may round to a cosine just below 1."""
    generator = torch.Generator().manual_seed(0)
    for numel in (1, 3, 100, 1001):
        for _ in range(20):
            row = torch.randn(numel, generator=generator)
            for other in (row, -row, 2 * row, row * 0.3):
                found = slerp_coefficients(gram([row, other]).total(), 0.25, 1.0)[:2]
                assert found == pytest.approx((0.75, 0.25), abs=1e-6)
            assert slerp_coefficients(gram([row, row]).total(), 0.25, 1.0)[:2] == (0.75, 0.25)


def test_the_line_is_taken_above_and_not_at_the_cosine() -> None:
    for sign in (1, -1):
        gram_22 = torch.tensor([[1, sign * 0.5], [sign * 0.5, 1]], dtype=torch.float64)
        assert slerp_coefficients(gram_22, 0.3, 0.4999)[:2] == (0.7, 0.3)
        assert slerp_coefficients(gram_22, 0.3, 0.5)[:2] != (0.7, 0.3)


def test_ends_are_exact() -> None:
    for omega in (1e-3, 1.0, 3.0):
        assert slerp_coefficients(at_angle(omega), 0.0, 1.0)[:2] == (1, 0)
        assert slerp_coefficients(at_angle(omega), 1.0, 1.0)[:2] == (0, 1)
