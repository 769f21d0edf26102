"""Whether a configuration ties head and embedding, held against transformers' own defaults."""

import pytest

from stockpot.checkpoints.beside.ties import TIED, UNTIED, ties_embeddings


def test_what_the_configuration_says_comes_before_the_kind() -> None:
    assert ties_embeddings({"model_type": "llama", "tie_word_embeddings": True}) is True
    assert ties_embeddings({"model_type": "gpt2", "tie_word_embeddings": False}) is False


def test_text_config_speaks_for_a_network_of_several() -> None:
    config = {"model_type": "qwen2_5_vl", "text_config": {"tie_word_embeddings": True}}
    assert ties_embeddings(config) is True
    assert ties_embeddings(config | {"tie_word_embeddings": False}) is False
    assert ties_embeddings({"model_type": "x", "text_config": {"model_type": "gemma2"}}) is True


@pytest.mark.parametrize("config", [{}, {"model_type": "my_own"}, {"model_type": 3}])
def test_an_unknown_kind_tells_nothing(config: dict[str, object]) -> None:
    assert ties_embeddings(config) is None


def test_a_value_that_is_no_boolean_tells_nothing() -> None:
    assert ties_embeddings({"model_type": "llama", "tie_word_embeddings": None}) is False
    assert ties_embeddings({"tie_word_embeddings": "yes"}) is None


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "phi3", "gpt_neox", "mixtral"])
def test_heads_that_transformers_does_not_tie_by_default(kind: str) -> None:
    auto = pytest.importorskip("transformers.models.auto.configuration_auto")
    assert auto.CONFIG_MAPPING[kind]().tie_word_embeddings is False
    assert ties_embeddings({"model_type": kind}) is False


@pytest.mark.parametrize("kind", ["gpt2", "gemma2", "bert", "t5", "opt", "falcon", "bart"])
def test_heads_that_transformers_ties_by_default(kind: str) -> None:
    auto = pytest.importorskip("transformers.models.auto.configuration_auto")
    assert auto.CONFIG_MAPPING[kind]().tie_word_embeddings is True
    assert ties_embeddings({"model_type": kind}) is True


def test_no_kind_is_both() -> None:
    assert not UNTIED & TIED
