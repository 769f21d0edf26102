"""What is written beside the weights is made to agree with them."""

from typing import Any

import torch

from stockpot.checkpoints.beside.agreement import (
    Written,
    agreeing,
    disagreements,
    with_dtype,
    within_rows,
)
from stockpot.checkpoints.beside.vocabulary import heads, input_rows, token_tensors

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def shapes(rows: int, head: bool = True) -> dict[str, tuple[int, ...]]:
    return {EMBED: (rows, 4), "norm.weight": (4,), **({HEAD: (rows, 4)} if head else {})}


def made(config: dict[str, Any], of: Any, to: Any, others: Any = None, **more: Any) -> Any:
    return agreeing(config, of, Written(shapes=to, **more), others or {})


def test_rows_of_the_vocabulary_in_every_network() -> None:
    config = {"vocab_size": 30, "text_config": {"vocab_size": 30, "k": 30}, "size": 30}
    config["vision_config"] = {"vocab_size": 7}
    found, notes = made(config, shapes(30), shapes(40))
    assert found == {
        "vocab_size": 40, "text_config": {"vocab_size": 40, "k": 30}, "size": 30,
        "vision_config": {"vocab_size": 7},
    }  # fmt: skip
    assert notes == ()
    assert made(config, shapes(30), shapes(30))[0] == config
    assert made(config, {}, shapes(40))[0] == config


def test_ids_beyond_the_rows_are_left_out() -> None:
    config = {"vocab_size": 40, "pad_token_id": 39, "eos_token_id": [2, 35], "bos_token_id": 1}
    found, notes = made(config, shapes(40), shapes(30))
    assert found == {
        "vocab_size": 30, "pad_token_id": None, "eos_token_id": [2], "bos_token_id": 1,
    }  # fmt: skip
    assert notes == (
        "config.json: pad_token_id 39 was left out, it has no row.",
        "config.json: eos_token_id 35 was left out, it has no row.",
    )
    assert within_rows({"suppress_tokens": [1, 50], "top_k": 50}, 40) == (
        {"suppress_tokens": [1], "top_k": 50}, ("suppress_tokens 50",),
    )  # fmt: skip


def test_dtypes_in_every_network_that_says_one() -> None:
    config = {
        "dtype": "float32", "text_config": {"torch_dtype": "float32"}, "vision_config": {"k": 1},
        "decoder": {"dtype": "float16"},
    }  # fmt: skip
    assert with_dtype(config, "bfloat16") == {
        "dtype": "bfloat16", "text_config": {"torch_dtype": "bfloat16"}, "vision_config": {"k": 1},
        "decoder": {"dtype": "bfloat16"},
    }  # fmt: skip
    assert made(config, {}, {}, dtype=torch.float16)[0]["dtype"] == "float16"


def test_a_head_that_is_gone_is_the_embedding() -> None:
    untied = {"model_type": "llama", "tie_word_embeddings": False}
    found, notes = made(untied, shapes(9), shapes(9, head=False))
    assert found["tie_word_embeddings"] is True
    assert "the head is the embedding" in notes[0]
    assert made(untied, shapes(9, head=False), shapes(9, head=False))[0] == untied


def test_a_head_of_its_own_beside_an_untied_model_unties() -> None:
    tied = {"model_type": "llama", "tie_word_embeddings": True}
    others = {"b": ({"model_type": "llama"}, shapes(9))}
    found, notes = made(tied, shapes(9), shapes(9), others)
    assert found["tie_word_embeddings"] is False
    assert "the head is a tensor of its own" in notes[0]
    assert made(tied, shapes(9), shapes(9), others, tied=frozenset({HEAD}))[0] == tied
    assert made(tied, shapes(9), shapes(9))[0] == tied  # stored by models that all tie it


def test_architectures_are_those_of_the_model_whose_tensors_were_written() -> None:
    of = {EMBED: (9, 4)}
    others = {"b": ({"architectures": ["WithHead"]}, shapes(9))}
    found, notes = made({"architectures": ["Bare"]}, of, shapes(9), others)
    assert found["architectures"] == ["WithHead"]
    assert "those of b" in notes[0]
    assert made({"architectures": ["Bare"]}, shapes(9), shapes(9), others)[0] == {
        "architectures": ["Bare"]
    }


def test_a_configuration_that_cannot_be_of_the_tensors_is_told() -> None:
    config = {"architectures": ["LlamaForCausalLM"], "vocab_size": 9, "tie_word_embeddings": False}
    assert list(disagreements(config, Written(shapes=shapes(9)))) == []
    (size,) = disagreements(config, Written(shapes=shapes(8)))
    assert size == f"config.json says vocab_size 9; '{EMBED}' has 8 rows."
    (head,) = disagreements(config, Written(shapes=shapes(9, head=False)))
    assert "there is no head" in head
    assert len(list(disagreements({"vocab_size": 3}, Written(shapes=shapes(9))))) == 1
    other = {"architectures": ["TinyEncoder"], "vocab_size": 3}
    assert list(disagreements(other, Written(shapes=shapes(9)))) == []


def test_tensors_with_a_row_for_each_token() -> None:
    llama = shapes(9) | {"model.vision_tower.embed_tokens.weight": (5, 4), "layers.0.w": (9, 4)}
    assert (input_rows(llama), heads(llama)) == (9, (HEAD,))
    assert token_tensors(llama) == (EMBED, HEAD)
    bert = {
        "bert.embeddings.word_embeddings.weight": (9, 4),
        "cls.predictions.decoder.weight": (9, 4),
    }
    assert token_tensors(bert) == tuple(bert)
    unet = {"attn.proj_out.weight": (9, 4), "conv_in.weight": (9, 4, 3, 3)}
    assert (input_rows(unet), token_tensors(unet)) == (None, ())
    assert input_rows({"wte.weight": (9, 4), "shared.weight": (8, 4)}) is None
