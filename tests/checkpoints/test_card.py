import json
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.card import config_files, config_with_dtype, model_card

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


def test_configuration_files_and_nothing_else(tmp_path: Path) -> None:
    wanted = {"config.json", "merges.txt", "spiece.model", "modeling.py", "chat_template.jinja"}
    others = {
        "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "merge.json",
        "x.safetensors.merge.json", "README.md", ".secret.json", "adapter_config.json",
        "trainer_state.json", "photo.png",
    }  # fmt: skip
    for name in wanted | others:
        (tmp_path / name).write_text("{}")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    found = [path.name for path in config_files(tmp_path)]
    assert found == sorted(wanted)
    assert list(config_files(None)) == []


@pytest.mark.parametrize("key", ["torch_dtype", "dtype"])
def test_the_dtype_of_a_config_is_changed_and_nothing_else(key: str, tmp_path: Path) -> None:
    config = {"b": 1, key: "float32", "a": {"é": [1, None]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = config_with_dtype(tmp_path / "config.json", torch.bfloat16)
    assert text is not None
    assert list(json.loads(text).items()) == list((config | {key: "bfloat16"}).items())


@pytest.mark.parametrize("content", ["{}", "[]", "3", "{", "", '{"a": 1}', "[" * 10**5, "\x00"])
def test_a_config_that_says_nothing_of_it_stays(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    assert config_with_dtype(tmp_path / "config.json", torch.bfloat16) is None
    assert config_with_dtype(tmp_path / "none.json", torch.bfloat16) is None


def test_a_config_that_says_it_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"torch_dtype": "bfloat16"}')
    assert config_with_dtype(tmp_path / "config.json", torch.bfloat16) is None
    assert config_with_dtype(tmp_path / "config.json", None) is None
