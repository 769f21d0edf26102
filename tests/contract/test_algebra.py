"""What a merge is, whatever the method: copies, permutations, a common shift."""

import pytest
import torch
from hypothesis import Phase, assume, event, given, settings
from hypothesis import strategies as st

from stockpot.core import Method
from stockpot.testing import laws
from stockpot.testing.cases import DTYPES, Case, on_grid, smooth
from stockpot.values.fields import kebab_name

from ..cases import NEUTRAL, cases, example
from .laws import FLOAT32_DELTAS, LAWS, OPT_OUTS, under


def test_excuses_are_for_methods_and_laws_that_exist() -> None:
    names = {param.id for param in under("copies")}
    assert {name for name, _ in OPT_OUTS} | set(FLOAT32_DELTAS) <= names
    assert {law for _, law in OPT_OUTS} <= set(LAWS)


@pytest.mark.parametrize("cls", under("copies"))
@given(data=st.data())
@settings(max_examples=40)
def test_copies_give_the_model_back(cls: type[Method], data: st.DataObject) -> None:
    """K copies at weights 1/K, with the task vectors taken as they are (scale, density, rank 1).

    To the last bit of the stored dtype; but for the methods of FLOAT32_DELTAS, which form
    θ - θ_0 in float32 (float64 for float64 models) and add it to θ_0: they are held to two
    roundings of max(|θ_0|, |θ|) there. Where that is less than half a step of the stored dtype,
    as it is in bf16 and fp16 for all but cancelled elements, this is the model itself.
    """
    case = data.draw(cases(cls, pinned=NEUTRAL))
    exact = kebab_name(cls) not in FLOAT32_DELTAS or case.base is None
    laws.gives_copies_back(case, roundings=0 if exact else 2)


@pytest.mark.parametrize("cls", under("permutation", lambda needs: needs.symmetric))
@given(data=st.data())
@settings(max_examples=30)
def test_the_order_of_models_matters_to_rounding_only(
    cls: type[Method], data: st.DataObject
) -> None:
    """Pairs of model and weight in any order, with their values of fields per model.

    On grid values, where no vote and no threshold hangs on a rounding.
    """
    case = data.draw(cases(cls, values=[on_grid], dtypes=[torch.float32, torch.float64]))
    assume(case.method.needs.symmetric)
    order = data.draw(st.permutations(range(len(case.models))))
    event(f"moved: {order != sorted(order)}")
    laws.ignores_order_of_models(case, order)


@pytest.mark.parametrize("cls", under("translation"))
@given(data=st.data(), shift=st.integers(-96, 96).filter(bool))
@settings(max_examples=30, phases=[Phase.generate])  # an excuse needs no smallest example
def test_a_common_shift_shifts_the_merge(
    cls: type[Method], data: st.DataObject, shift: int
) -> None:
    """c added to all models and to the base adds c, to rounding.

    On grid values, where the shift itself is exact and so are the task vectors; and, so that what
    draws do not show is seen too, on two models at a right angle.
    """
    at_right_angle = [{"w": torch.tensor([row])} for row in ([1.0, 0.0], [0.0, 1.0])]
    laws.moves_along(Case(example(cls), at_right_angle, {"w": torch.zeros(1, 2)}), 1.0)
    drawn = data.draw(cases(cls, values=[on_grid], dtypes=[torch.float32, torch.float64]))
    laws.moves_along(drawn, shift / 32)


def test_the_grid_is_what_the_laws_take_it_for() -> None:
    for dtype in DTYPES:
        base, models = on_grid([(500,)], 3, 0, dtype)
        for state in (base, *models):
            (values,) = state.values()
            scaled = values.double() * 32
            assert torch.equal(scaled, scaled.round())
            assert float(scaled.abs().max()) < 128
    _, (model,) = smooth([(500,)], 1, 0)
    assert len(set(next(iter(model.values())).tolist())) > 490
