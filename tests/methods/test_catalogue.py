import pytest

from stockpot.errors import FieldError
from stockpot.methods import METHODS, Average, Dare, Interpolate, TaskArithmetic, Ties, Weave
from stockpot.methods.catalogue import find_method, make_method, method_fields, told_apart
from stockpot.values.fields import find_field, kebab_name, nearest


@pytest.mark.parametrize("cls", METHODS)
def test_every_method_is_found_by_its_name_and_made_again_from_its_fields(cls: type) -> None:
    name = kebab_name(cls)
    assert find_method(name) is cls
    method = make_method(name, {})
    assert make_method(name, method_fields(method)) == method


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("tis", "ties"),
        ("TIES", "ties"),
        ("task_arithmetic", "task-arithmetic"),
        ("TaskArithmetic", "task-arithmetic"),
        ("averag", "average"),
    ],
)
def test_a_wrong_name_names_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(FieldError, match=f"no method '{wrong}': did you mean '{right}'\\?"):
        find_method(wrong)


def test_a_name_like_none_lists_them() -> None:
    with pytest.raises(FieldError, match=r"choose from average, .*ties"):
        find_method("xyzzy")


def test_a_wrong_field_names_the_nearest() -> None:
    with pytest.raises(FieldError, match="ties has no field 'densty': did you mean 'density'"):
        make_method("ties", {"densty": 0.2})


def test_a_field_of_a_method_without_fields() -> None:
    with pytest.raises(FieldError, match="average has no field 't': there are none"):
        make_method("average", {"t": 1})


def test_a_value_out_of_bounds_is_the_method_s_own_error() -> None:
    with pytest.raises(FieldError, match=r"ties: density must be in \(0, 1\]"):
        make_method("ties", {"density": 1.5})


def test_fields_reach_the_method() -> None:
    assert make_method("interpolate", {"t": 0.25}) == Interpolate(t=0.25)
    assert make_method("ties", {"density": [0.1, 0.2]}) == Ties(density=(0.1, 0.2))
    assert make_method("average", {}) == Average()


def test_values_per_model_are_lists_in_plain_fields() -> None:
    assert method_fields(Dare(density=(0.5, 0.25)))["density"] == [0.5, 0.25]
    assert method_fields(TaskArithmetic(scale=0.3)) == {"scale": 0.3}


def test_a_field_s_specification() -> None:
    assert find_field(Ties, "density").per_model
    with pytest.raises(FieldError, match="did you mean 'scale'"):
        find_field(Ties, "scal")


def test_long_words_are_cut() -> None:
    with pytest.raises(FieldError) as caught:
        find_method("x" * 10_000)
    assert len(str(caught.value)) < 300


def test_nearest_cuts_a_long_list() -> None:
    listed = nearest("zzz", [f"name{i}" for i in range(30)])
    assert listed.endswith("name11, ...")


def test_methods_that_others_hold_are_told_apart_by_what_differs() -> None:
    values: list[object] = [
        Weave(Ties(density=0.2)),
        Weave(Ties(density=0.3)),
        Weave(Ties(density=0.3), pool=Average()),
    ]
    assert told_apart(values) == [
        "weave method=(ties density=0.2) pool=mean",
        "weave method=(ties density=0.3) pool=mean",
        "weave method=(ties density=0.3) pool=average",
    ]
