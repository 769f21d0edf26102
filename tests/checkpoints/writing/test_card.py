import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.writing.card import model_card

paths = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(st.lists(paths, min_size=1, max_size=4))
def test_the_front_matter_is_yaml_whatever_the_paths(parents: list[str]) -> None:
    text = model_card("out", parents, "Average()", "method: average\n", {})
    front = text.removeprefix("---\n").split("\n---\n")[0]
    metadata = yaml.safe_load(front)
    assert metadata["base_model"] == list(dict.fromkeys(parents))
    assert metadata["base_model_relation"] == "merge"
    assert metadata["tags"][0] == "merge"


@pytest.mark.parametrize(
    ("config", "library"),
    [
        ({}, None),
        ({"num_features": 3}, None),
        ({"architectures": ["X"]}, "transformers"),
        ({"model_type": "llama"}, "transformers"),
    ],
)
def test_the_library_is_told_by_the_config(config: dict[str, object], library: str | None) -> None:
    text = model_card("out", ["a"], "Average()", "", config)
    assert yaml.safe_load(text.split("---\n")[1]).get("library_name") == library
