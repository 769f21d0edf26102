"""Methods of one's own, named by their place: found, refused, carried by files, and told apart."""

import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import stockpot as sp
from stockpot.core import Needs, Reach
from stockpot.engine.prepare import prepare
from stockpot.evaluation.contests.columns import find_columns
from stockpot.experiments.aggregating import read_aggregation
from stockpot.experiments.experiment import MERGES, parse_experiment
from stockpot.methods import Average, Ties, Weave, from_function
from stockpot.methods.catalogue import find_method, make_method, plain_method, read_method
from stockpot.testing import LawsBroken, broken_laws, check_method

MINE = '''
from dataclasses import dataclass
from typing import Annotated, Literal
import torch
from annotated_types import Ge, Le
from stockpot.core import Method, Needs
from stockpot.methods import from_function
from stockpot.values.fields import check_fields

@dataclass(frozen=True, slots=True)
class Mine(Method):
    """Theirs, scaled."""
    scale: float
    side: Literal["left", "right"] = "left"

    def __post_init__(self):
        check_fields(self)

    @property
    def needs(self):
        return Needs(weights="unused")

    def __call__(self, stack, settled):
        return self.scale * stack.models[0 if self.side == "left" else -1]

class Plain(Method):
    @property
    def needs(self):
        return Needs()

    def __call__(self, stack, settled):
        return stack.models[0]

class Half(Method):
    pass

def largest(stack, *, of: Annotated[int, Ge(1), Le(9)] = 2, sign=1.0):
    return sign * torch.stack(list(stack.models)[:of]).amax(0)

def raising(stack):
    return stack.models[0] / nothing

def summed(stack):
    return stack.models[0].sum()

def norm(stack):
    return stack.models[0] / stack.models[0].norm()

def two(stack, of: list = None):
    return stack.models[0]

value, Other = 3, from_function(summed)
largets = largest
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's in the current directory, under a name that no other test has."""
    name = "mine_" + re.sub(r"\W", "_", tmp_path.name)
    (tmp_path / f"{name}.py").write_text(MINE)
    (tmp_path / f"{name}_failing.py").write_text("import torch\n\ntorch.nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for k in range(3):
        save_file({"w": torch.tensor([1.0, 2.0]) * k, "b": torch.ones(1) * k}, f"{k}.safetensors")
    yield name
    for module in (name, f"{name}_failing"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("{}:Min", "has no method 'Min': did you mean 'Mine'"),
        ("{}x:Mine", "there is no module '{}x' among .* did you mean '{}'"),
        ("{}:value", "has no method 'value'"),
        ("{}:Needs", "is no method: it must derive from stockpot.core.Method"),
        ("{}:Half", "is no method yet: it has no __call__ and no needs"),
        ("{}:Plain", "must be a dataclass"),
        ("{}:two", "of is a list: fields are numbers, words or truth values"),
        ("{}:Other", "is made of {}:summed.* write @from_function"),
        ("{}_failing:X", r"failed with AttributeError: .* \(.*{}_failing.py, line 3: torch.noth"),
        ("__main__:Gone", "was defined in a script or a notebook"),
        ("a b:c", "must be written package.module:method"),
        ("tis", "there is no method 'tis': did you mean 'ties'"),
    ],
)
def test_what_is_wrong_with_a_place_is_said(mine: str, place: str, words: str) -> None:
    with pytest.raises(sp.StockpotError, match=words.replace("{}", mine)):
        find_method(place.format(mine))


def test_one_resolver_for_every_place_where_a_method_is_named(mine: str) -> None:
    """Recipes, columns, experiments, aggregations, weaves, Python."""
    name = f"{mine}:Mine"
    wanted = make_method(name, {"scale": 2})
    assert plain_method(wanted) == {"name": name, "scale": 2.0, "side": "left"}
    given = {"name": name, "scale": 2}
    assert sp.parse_recipe({"method": given, "models": ["0.safetensors"]}).method == wanted
    assert MERGES.read(given) == read_aggregation(given) == wanted
    experiment = parse_experiment(
        {"network": "mlp", "data": "digits", "compare": {"methods": [given, f"{mine}:largest"]}}
    )
    assert parse_experiment(experiment.resolved()) == experiment
    woven = read_method({"name": "weave", "method": given, "grid": {"scale": [1, 3]}})
    assert isinstance(woven, Weave)
    assert woven.method == wanted
    columns = find_columns([f"{mine}:largest", "ties", wanted, "uniform-soup"])
    assert list(columns) == [f"{mine}:largest", "ties", name, "uniform-soup"]
    for unknown in ("uniform-sup", "tiess"):
        with pytest.raises(sp.FieldError, match=f"there is no method '{unknown}': did you mean"):
            find_columns([unknown])
    with pytest.raises(sp.FieldError, match="needs its field 'scale'"):
        read_method(name)
    with pytest.raises(sp.FieldError, match=r"Ties is the class of a method: give .* Ties\(...\)"):
        sp.merge([{"w": torch.ones(1)}], Ties)  # type: ignore[arg-type]
    with pytest.raises(sp.FieldError, match="must be a method's name"):
        sp.merge([{"w": torch.ones(1)}], ("ties", 0.2))  # type: ignore[arg-type]


def test_a_function_is_a_frozen_value_with_bounded_fields(mine: str) -> None:
    method = make_method(f"{mine}:largest", {"of": 3})
    assert repr(method) == "largest(of=3, sign=1.0)"
    assert pickle.loads(pickle.dumps(method)) == method
    assert read_method(plain_method(method)) == method
    assert type(method) is find_method(f"{mine}:largest")
    assert method.needs == Needs(whole=True, symmetric=False)
    with pytest.raises(sp.FieldError, match=r"largest: of must be a whole number in \[1, 9\]"):
        make_method(f"{mine}:largest", {"of": 0})
    models = [{"w": torch.tensor([k, -k])} for k in (1.0, 2.0, 3.0)]
    assert sp.merge(models, method)["w"].tolist() == [3.0, -1.0]
    function = sys.modules[mine].largest
    assert sp.merge(models, function)["w"].tolist() == [2.0, -1.0]
    with pytest.raises(sp.FieldError, match="a function does not settle anything"):
        from_function(function, needs=Needs(reach=Reach.TENSOR))
    with pytest.raises(sp.FieldError, match="scale needs a type, such as float, or a default"):
        from_function(lambda stack, scale: stack)


def test_a_function_sees_its_tensor_whole_unless_it_says_otherwise(mine: str) -> None:
    """A norm over a small tensor is right, though small tensors are computed end to end."""
    models = [{"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([5.0, 12.0])}]
    merged = sp.merge(models, make_method(f"{mine}:norm", {}))
    assert torch.allclose(merged["a"], torch.tensor([0.6, 0.8]))
    assert torch.allclose(merged["b"], torch.tensor([5.0, 12.0]) / 13)
    declared = from_function(sys.modules[mine].norm, needs=Needs())
    broken = broken_laws(declared())
    assert "declare Needs(whole=True)" in broken["blocks"]
    assert "is merged otherwise without the others" in broken["apart"]


def test_what_a_method_raises_is_said_with_its_line(mine: str) -> None:
    with pytest.raises(sp.MergeError, match=rf"raising\(\) failed on 'b' .*{mine}.py, line 4\d"):
        sp.merge_to("out", ["0.safetensors", "1.safetensors"], make_method(f"{mine}:raising", {}))
    with pytest.raises(sp.MergeError, match=r"'w' .* rows' shape \(2,\); got \(\) torch.float32"):
        sp.merge([{"w": torch.ones(2)}], make_method(f"{mine}:summed", {}))


def test_the_code_is_recorded_and_its_change_is_told(mine: str) -> None:
    models, place = ["1.safetensors", "2.safetensors"], Path(f"{mine}.py")
    woven = Weave(method=make_method(f"{mine}:Mine", {"scale": 2}), grid={"scale": [1, 2]})
    sp.merge_to("woven", models, woven)
    sp.merge_to("average", models, Average())
    assert sp.verify("woven", recompute=True).notes == ()
    place.write_text(MINE.replace("Theirs, scaled", "Ours, scaled"))
    found = sp.verify("woven", recompute=True)
    assert found.ok
    assert re.search(f"code changed: '{mine}:Mine' was merged with {mine}.py", found.notes[0])
    place.write_text(MINE.replace("self.scale *", "2 * self.scale *"))
    del sys.modules[mine]
    found = sp.verify("woven", recompute=True)
    assert "the method's code changed" in found.problems[0]
    assert "'w' differs" in " ".join(found.problems)
    place.unlink()
    del sys.modules[mine]
    with pytest.raises(sp.OutputError, match=f"cannot be repeated: .*no module '{mine}'"):
        sp.verify("woven", recompute=True)
    assert "code" not in sp.engine.verify.read_manifest(Path("average"))


def test_a_resume_does_not_mix_two_versions_of_a_method(mine: str) -> None:
    recipe = sp.parse_recipe({"method": f"{mine}:largest", "models": ["1.safetensors"]})
    before = prepare(recipe, sp.Options(), None).fingerprint()
    assert before == prepare(recipe, sp.Options(), None).fingerprint()
    Path(f"{mine}.py").write_text(MINE + "\n")
    assert before != prepare(recipe, sp.Options(), None).fingerprint()


def test_the_laws_say_what_is_broken_and_excuses_do_not_outlive_their_cause(mine: str) -> None:
    method = make_method(f"{mine}:Mine", {"scale": 2})
    with pytest.raises(LawsBroken) as caught:
        check_method(method, excused={"seeds": "none", "permutation": "left is not right"})
    assert set(caught.value.broken) == {"copies", "translation", "seeds"}
    assert "copies: copies of a model give back" in str(caught.value)
    assert "seeds: it is excused from this law and keeps it" in str(caught.value)
    with pytest.raises(sp.FieldError, match="there is no law 'copy': did you mean 'copies'"):
        check_method(method, excused={"copy": ""})


def test_required_fields_are_flags_too(mine: str, capsys: Any) -> None:
    from stockpot.cli.app import execute

    models = ["1.safetensors", "2.safetensors", "--out", "out.safetensors"]
    assert execute(["merge", f"{mine}:Mine", *models]) == 2
    assert "scale" in capsys.readouterr().err
    assert execute(["merge", f"{mine}:Mine", *models, "--scale", "2", "--side", "right"]) == 0
    assert execute(["methods", f"{mine}:Mine"]) == 0
    assert "required" in capsys.readouterr().out
    assert execute(["methods", f"{mine}:Min"]) == 2
    assert "did you mean 'Mine'" in capsys.readouterr().err
