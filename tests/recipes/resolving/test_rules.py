from typing import Any

import pytest

from stockpot.checkpoints.roles import Role
from stockpot.errors import MergeError
from stockpot.methods import Average, Median, TaskArithmetic, Ties
from stockpot.recipes.reading.recipe import Recipe, parse_recipe
from stockpot.recipes.resolving import rules
from stockpot.recipes.resolving.rules import Decision, decide

ROLES = {
    "embed.weight": Role.EMBEDDING,
    "layers.0.mlp.weight": Role.MATRIX,
    "layers.0.attn.weight": Role.MATRIX,
    "layers.1.mlp.weight": Role.MATRIX,
    "layers.1.bn.running_mean": Role.NORM_STAT,
    "layers.1.bn.num_batches_tracked": Role.COUNTER,
    "head.bias": Role.VECTOR,
}


def recipe(*recipe_rules: dict[str, Any], **more: object) -> Recipe:
    plain = {"method": "ties", "base": "base", "models": ["a", "b"], "rules": list(recipe_rules)}
    return parse_recipe(plain | more)


def decided(*recipe_rules: dict[str, Any], **more: object) -> dict[str, Decision]:
    decisions, notes = decide(recipe(*recipe_rules, **more), ROLES)
    assert notes == ()
    return decisions


def test_without_rules_the_method_and_the_policy_decide() -> None:
    decisions = decided()
    assert list(decisions) == list(ROLES)
    assert decisions["head.bias"] == Decision(Ties(), None, "method")
    stats = decisions["layers.1.bn.running_mean"]
    assert stats == Decision(Average(), None, "policy: norm-stats are averaged")
    counter = decisions["layers.1.bn.num_batches_tracked"]
    assert counter == Decision(None, "anchor", "policy: counters are copied")


def test_the_first_rule_that_matches_wins() -> None:
    decisions = decided(
        {"match": "layers.0.*", "method": "average"},
        {"match": "*.mlp.weight", "method": "median"},
        {"role": "embedding", "copy": "base"},
    )
    assert decisions["layers.0.mlp.weight"].method == Average()
    assert decisions["layers.0.mlp.weight"].rule == "rules[0]: match 'layers.0.*'"
    assert decisions["layers.1.mlp.weight"].method == Median()
    assert decisions["layers.1.mlp.weight"].rule == "rules[1]: match '*.mlp.weight'"
    assert decisions["embed.weight"] == Decision(None, "base", "rules[2]: role 'embedding'")
    assert decisions["head.bias"].rule == "method"


def test_a_copy_is_of_the_model_that_was_named() -> None:
    decisions = decided({"match": "head.*", "copy": "b"}, {"role": "embedding", "copy": 0})
    assert decisions["head.bias"].copy == 1
    assert decisions["embed.weight"].copy == 0


@pytest.mark.parametrize(
    ("rule", "wins"),
    [
        ({"match": "*", "method": "median"}, False),
        ({"match": "layers.1.*", "method": "median"}, False),
        ({"match": "*.running_*", "method": "median"}, False),
        ({"match": "*.bn.[rs]unning_mean", "method": "median"}, False),
        ({"match": "*.running_mean", "method": "median"}, True),
        ({"match": "layers.1.bn.running_mean", "method": "median"}, True),
        ({"role": "norm-stat", "method": "median"}, True),
        ({"match": "layers.1.*", "copy": "base"}, True),
        ({"match": "*.running_*", "copy": 1}, True),
    ],
)
def test_a_method_reaches_statistics_only_when_it_names_them(
    rule: dict[str, Any], wins: bool
) -> None:
    decisions, _ = decide(recipe(rule), ROLES)
    stats = decisions["layers.1.bn.running_mean"]
    assert stats.rule.startswith("rules[0]" if wins else "policy")
    assert stats.method == (Median() if "method" in rule else None) if wins else Average()


def test_a_copy_of_a_block_takes_its_counters_along() -> None:
    decisions = decided({"match": "layers.1.*", "copy": "a"})
    assert {name for name, d in decisions.items() if d.copy == 0} == {
        name for name in ROLES if name.startswith("layers.1.")
    }


def test_a_rule_behind_the_statistics_still_reaches_the_others() -> None:
    decisions = decided(
        {"match": "*", "method": "median"}, {"match": "*.running_mean", "copy": "base"}
    )
    assert decisions["layers.1.bn.running_mean"].copy == "base"
    assert decisions["head.bias"].method == Median()


def test_only_copies_the_rest() -> None:
    decisions = decided({"match": "head.*", "copy": 1}, only=["*.mlp.*", "layers.0.*"])
    merged = [name for name, decision in decisions.items() if decision.method is not None]
    assert merged == ["layers.0.mlp.weight", "layers.0.attn.weight", "layers.1.mlp.weight"]
    assert decisions["embed.weight"].copy == "anchor"
    assert decisions["embed.weight"].rule.startswith("only:")
    assert decisions["layers.1.bn.running_mean"].copy == "anchor"
    assert decisions["head.bias"].copy == 1


def test_layers_stand_behind_rules_and_before_the_method() -> None:
    decisions = decided({"match": "*.attn.*", "method": "average"}, layers={"density": [0.1, 0.4]})
    assert decisions["layers.0.mlp.weight"].method == Ties(density=0.1)
    assert decisions["layers.1.mlp.weight"].method == Ties(density=0.4)
    assert decisions["layers.1.mlp.weight"].rule.startswith("layers: block 2 of 2")
    assert decisions["layers.0.attn.weight"].method == Average()
    assert decisions["layers.1.bn.running_mean"].method == Average()
    assert decisions["head.bias"].method == Ties()


def test_case_matters() -> None:
    with pytest.raises(MergeError, match="no tensor's name matches"):
        decide(recipe({"match": "HEAD.*", "copy": 0}), ROLES)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("*.mpl.*", r"rules\[0\]: no tensor's name matches '\*.mpl.\*': did you mean '\*.mlp.\*'"),
        ("*.mpl.*", r"which matches 'layers.0.mlp.weight' and 1 more\?"),
        ("haed.bias", r"did you mean 'head.bias', which matches 'head.bias'\?"),
        ("zzzz", r"names are such as 'embed.weight', 'layers.0.mlp.weight'"),
        ("layers.7.mlp.weight", "names are such as 'layers.[01].mlp.weight'"),
    ],
)
def test_a_pattern_that_matches_nothing_names_close_tensors(pattern: str, words: str) -> None:
    with pytest.raises(MergeError, match=words):
        decide(recipe({"match": pattern, "copy": 0}), ROLES)


def test_an_only_pattern_that_matches_nothing() -> None:
    with pytest.raises(MergeError, match=r"only: no tensor's name matches '\*.mpl.\*'"):
        decide(recipe(only=["*.mlp.*", "*.mpl.*"]), ROLES)


def test_a_role_that_no_tensor_has() -> None:
    with pytest.raises(MergeError, match="role 'conv': no tensor has this role; there are counter"):
        decide(recipe({"role": "conv", "copy": 0}), ROLES)


def test_a_rule_without_effect_is_noted() -> None:
    shadowed = recipe(
        {"match": "*.mlp.*", "method": "average"}, {"match": "layers.1.mlp.*", "method": "median"}
    )
    decisions, notes = decide(shadowed, ROLES)
    assert decisions["layers.1.mlp.weight"].method == Average()
    assert len(notes) == 1
    assert notes[0].startswith("rules[1]: match 'layers.1.mlp.*' decides no tensor")


def test_equal_rules_are_told_apart() -> None:
    twice = {"match": "*.mlp.*", "method": {"name": "task-arithmetic", "scale": 0.5}}
    decisions, notes = decide(recipe(twice, twice), ROLES)
    assert decisions["layers.0.mlp.weight"].method == TaskArithmetic(scale=0.5)
    assert decisions["layers.0.mlp.weight"].rule.startswith("rules[0]")
    assert notes[0].startswith("rules[1]")


def test_the_cost_is_linear_in_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pattern is compiled once and tried at most once per tensor."""
    calls = {"compiled": 0, "tried": 0}

    class Counting(rules.Glob):
        def __init__(self, pattern: str) -> None:
            super().__init__(pattern)
            calls["compiled"] += 1
            match = self.matches

            def counted(name: str) -> Any:
                calls["tried"] += 1
                return match(name)

            self.matches = counted

    monkeypatch.setattr(rules, "Glob", Counting)
    three = [{"match": f"*.{part}.*", "method": "average"} for part in ("q", "k", "v")]
    tried: list[int] = []
    for count in (100, 200):
        roles = {f"h.{i}.{p}.w": Role.MATRIX for i in range(count) for p in ("q", "k", "v", "o")}
        calls.update(compiled=0, tried=0)
        decide(recipe(*three), roles)
        assert calls["compiled"] == 3
        tried.append(calls["tried"])
    assert tried == [100 * (1 + 2 + 3 + 3), 200 * (1 + 2 + 3 + 3)]
