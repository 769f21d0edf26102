"""Which differences between configurations forbid a merge, which are told, which are nothing."""

from typing import Any

import pytest

from stockpot.checkpoints.beside.config import compare_configs, differing, said
from stockpot.checkpoints.beside.spelling import flat

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 32, "num_attention_heads": 4, "hidden_act": "silu",
    "rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "transformers_version": "4.40",
}  # fmt: skip


def compared(one: dict[str, Any], other: dict[str, Any]) -> dict[str, bool]:
    """Keys that differ, and whether each forbids a merge; the same in both orders."""
    there = compare_configs([("a", one), ("b", other)])
    back = compare_configs([("b", other), ("a", one)])
    found = {one.key: one.forbids for one in there}
    assert found == {one.key: one.forbids for one in back}
    return found


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({"num_attention_heads": 8}, {"num_attention_heads", "num_key_value_heads", "head_dim"}),
        ({"num_key_value_heads": 2}, {"num_key_value_heads"}),
        ({"head_dim": 16}, {"head_dim"}),
        ({"hidden_act": "relu"}, {"hidden_act"}),
        ({"hidden_act": "gelu"}, {"hidden_act"}),
        ({"model_type": "gemma"}, {"model_type"}),
        ({"num_hidden_layers": 2}, set()),
    ],
)
def test_what_changes_a_row_or_a_head_forbids(changed: dict[str, Any], keys: set[str]) -> None:
    found = compared(LLAMA, LLAMA | changed)
    assert {key for key, forbids in found.items() if forbids} == keys


@pytest.mark.parametrize(
    "changed",
    [
        {"rms_norm_eps": 1e-5}, {"max_position_embeddings": 4096}, {"rope_theta": 1e6},
        {"sliding_window": 4096}, {"attention_dropout": 0.1}, {"attn_logit_softcapping": 50.0},
        {"tie_word_embeddings": True}, {"my_own_key": [1, 2]}, {"eos_token_id": [1, 2]},
        {"rope_scaling": {"type": "yarn", "factor": 4.0}},
    ],
)  # fmt: skip
def test_what_only_shifts_is_told(changed: dict[str, Any]) -> None:
    found = compared(LLAMA, LLAMA | changed)
    assert list(found.values()) == [False]
    assert list(found) == list(changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"transformers_version": "5.1"}, {"torch_dtype": "bfloat16"}, {"dtype": "float16"},
        {"_name_or_path": "/home/me"}, {"use_cache": False}, {"head_dim": 8}, {"vocab_size": 40},
        {"num_key_value_heads": 4}, {"rope_theta": 10000.0}, {"rope_scaling": None},
        {"attention_bias": False}, {"attention_dropout": 0.0}, {"hidden_act": "swish"},
        {"tie_word_embeddings": False}, {"architectures": ["X"]}, {"new_flag": False},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    ],
)  # fmt: skip
def test_what_says_nothing_of_the_network_is_silent(changed: dict[str, Any]) -> None:
    assert compared(LLAMA, LLAMA | changed) == {}


def test_both_spellings_of_rotary_embeddings_are_one() -> None:
    old = {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", "factor": 8.0}}
    new = {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0}}
    assert compared(old, new) == {}
    assert (
        compared(
            {"rotary_emb_base": 1e4, "rotary_pct": 0.25},
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.25}},
        )
        == {}
    )
    assert compared({"rotary_pct": 0.25}, {"rotary_pct": 1.0}) == {"partial_rotary_factor": True}
    layers = {"sliding_attention": {"rope_theta": 1e4}, "full_attention": {"rope_theta": 1e6}}
    gemma = {"rope_theta": 1e6, "rope_local_base_freq": 1e4}
    assert compared(gemma, {"rope_parameters": layers}) == {}
    layers["full_attention"]["rope_theta"] = 2e6
    assert compared(gemma, {"rope_parameters": layers}) == {"rope_theta of full_attention": False}


def test_kinds_of_one_activation_are_told_and_spellings_are_not() -> None:
    assert compared({"hidden_act": "gelu"}, {"hidden_act": "gelu_new"}) == {"hidden_act": False}
    assert compared({"hidden_act": "gelu_fast"}, {"hidden_act": "gelu_pytorch_tanh"}) == {}
    gemma = {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}
    assert "hidden_act" not in flat(gemma)


def test_networks_inside_are_compared_by_their_own_keys() -> None:
    one = {"text_config": LLAMA, "vision_config": {"num_heads": 4, "dtype": "float32"}}
    other = {"text_config": LLAMA, "vision_config": {"num_heads": 8, "dtype": "bfloat16"}}
    assert compared(one, other) == {"vision_config.num_heads": True}
    other["text_config"] = LLAMA | {"rms_norm_eps": 1.0, "num_attention_heads": 8}
    assert compared(one, other)["text_config.num_attention_heads"]
    assert not compared(one, other)["text_config.rms_norm_eps"]


def test_classes_in_another_order_are_other_rows() -> None:
    one = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    other = {"id2label": {"0": "yes", "1": "no"}}
    assert compared(one, other) == {"id2label": True}
    assert compared(one, {"id2label": {"1": "yes", "0": "no"}}) == {}
    assert compared(one, {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}) == {}
    assert compared(one, {}) == {}


def test_sentences_name_key_values_and_models() -> None:
    configs = [(n, {"num_attention_heads": k}) for n, k in (("a", 4), ("b", 8), ("c", 4))]
    assert str(compare_configs(configs)[0]) == "num_attention_heads is 4 in a, c, 8 in b"
    shifts = compare_configs([("a", {"rope_theta": 1e6}), ("b", {})])
    assert list(differing("the configurations", shifts)) == [
        "the configurations differ: rope_theta is 1000000 in a, 10000 in b."
    ]
    assert list(differing("x", ())) == []
    assert [said(v) for v in (None, 1e-5, "a b", True)] == ["not set", "1e-05", "'a b'", "True"]


def test_more_differences_than_a_sentence_holds_are_named() -> None:
    one, other = ({f"key{i}": i + k for i in range(9)} for k in (1, 2))
    (text,) = differing("configs", compare_configs([("a", one), ("b", other)]))
    assert text.endswith("and 3 more keys: key6, key7, key8.")
