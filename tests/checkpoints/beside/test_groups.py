"""Which model gives the output which files."""

import json
from pathlib import Path

import pytest

from stockpot.checkpoints.beside.files import SmallFiles, survey
from stockpot.checkpoints.beside.groups import Origins, origins
from stockpot.checkpoints.beside.names import Group

IM = ("<|im_start|>", "<|im_end|>")


def model(folder: Path, name: str, tokens: tuple[str, ...] = (), **contents: object) -> SmallFiles:
    """A model's small files; `contents` by name, mappings as JSON."""
    place = folder / name
    place.mkdir()
    rows = {token: row for row, token in enumerate(("a", "b", *tokens))}
    added = [{"content": token, "id": rows[token]} for token in tokens]
    given = {
        "config.json": {"from": name},
        "tokenizer.json": {"model": {"vocab": rows}, "added_tokens": added},
        **{key.replace("__", "."): value for key, value in contents.items()},
    }
    for key, value in given.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            (place / key).write_text(text)
    return survey(place, name)


def donors(found: Origins) -> dict[str, str]:
    return {str(group): one.label for group, one in found.donors.items()}


def test_everything_comes_from_the_first_that_has_it(tmp_path: Path) -> None:
    chat = model(tmp_path, "chat", IM, chat_template__jinja="{{x}}", generation_config__json={})
    tool = model(tmp_path, "tool", IM, chat_template__jinja="{{y}}")
    found = origins([chat, tool])
    assert donors(found) == dict.fromkeys(map(str, Group), "chat")
    assert set(found.contents()) == {
        "config.json", "tokenizer.json", "chat_template.jinja", "generation_config.json",
    }  # fmt: skip
    assert found.made == {}
    assert found.notes == ()


def test_a_group_comes_whole_from_one_model(tmp_path: Path) -> None:
    bare = model(tmp_path, "bare", config__json=None, tokenizer__json=None, LICENSE="of bare")
    chat = model(tmp_path, "chat", NOTICE="of chat")
    found = origins([bare, chat])
    assert donors(found) == {"configuration": "chat", "tokenizer": "chat"}
    assert sorted(found.contents()) == ["NOTICE", "config.json", "tokenizer.json"]
    assert found.notes == ("the output has the configuration and tokenizer of chat.",)


@pytest.mark.parametrize("flip", [False, True])
def test_the_template_comes_with_its_end_tokens(tmp_path: Path, flip: bool) -> None:
    math = model(tmp_path, "math", IM, generation_config__json={"eos_token_id": 1})
    chat = model(
        tmp_path, "chat", IM,
        chat_template__jinja="<|im_start|>", generation_config__json={"eos_token_id": 3},
    )  # fmt: skip
    found = origins([chat, math] if flip else [math, chat])
    assert donors(found)["chat template"] == "chat"
    assert donors(found)["configuration"] == ("chat" if flip else "math")
    assert json.loads(found.contents()["generation_config.json"]) == {"eos_token_id": 3}


def test_a_template_needs_its_tokens(tmp_path: Path) -> None:
    math = model(tmp_path, "math", generation_config__json={"from": "math"})
    chat = model(tmp_path, "chat", IM, chat_template__jinja="{{x}}<|im_end|>")
    found = origins([math, chat])
    assert "chat_template.jinja" not in found.contents()
    assert json.loads(found.contents()["generation_config.json"]) == {"from": "math"}
    (note,) = found.notes
    assert "chat template of chat was not taken" in note
    assert "'<|im_end|>'" in note
    assert "--files-from chat" in note
    plain = model(tmp_path, "plain", IM, chat_template__jinja="{{x}}")  # speaks none of them
    assert donors(origins([math, plain]))["chat template"] == "plain"


def test_templates_inside_a_tokenizers_configuration_get_a_file(tmp_path: Path) -> None:
    two = [{"name": "default", "template": "A"}, {"name": "tool", "template": "B"}]
    math = model(tmp_path, "math", tokenizer_config__json={"model_max_length": 10**29})
    one = model(tmp_path, "one", tokenizer_config__json={"chat_template": "{{x}}"})
    several = model(tmp_path, "several", tokenizer_config__json={"chat_template": two})
    made = origins([math, one]).contents()
    assert made["chat_template.jinja"] == b"{{x}}"
    assert json.loads(made["tokenizer_config.json"]) == {"model_max_length": 10**29}
    made = origins([math, several]).contents()
    assert made["chat_template.jinja"] == b"A"
    assert made["additional_chat_templates/tool.jinja"] == b"B"
    whole = origins([one, several])
    assert whole.made == {}
    assert json.loads(whole.contents()["tokenizer_config.json"])["chat_template"] == "{{x}}"


def test_another_tokenizer_takes_its_own_template_away(tmp_path: Path) -> None:
    own = model(tmp_path, "own", tokenizer_config__json={"chat_template": "own", "k": 1})
    other = model(tmp_path, "other", chat_template__jinja="other")
    found = origins([other, own], tokenizer=own)
    assert donors(found) == {
        "configuration": "other", "tokenizer": "own", "chat template": "other",
    }  # fmt: skip
    made = found.contents()
    assert json.loads(made["tokenizer_config.json"]) == {"k": 1}
    assert made["chat_template.jinja"] == b"other"


def test_a_named_model_gives_all_and_lacks_what_it_lacks(tmp_path: Path) -> None:
    chat = model(tmp_path, "chat", chat_template__jinja="c", generation_config__json={})
    base = model(tmp_path, "base")
    found = origins([chat, base], only=base)
    assert sorted(found.contents()) == ["config.json", "tokenizer.json"]
    assert found.notes == ("base has no chat template: the output has none.",)


def test_code_goes_with_a_note(tmp_path: Path) -> None:
    own = {"auto_map": {"AutoModel": "modeling_x.X"}}
    one = model(tmp_path, "m", config__json=own, modeling_x__py="import os", train__py="")
    found = origins([one])
    assert found.files["modeling_x.py"] is Group.CONFIGURATION
    assert "train.py" not in found.contents()
    assert "modeling_x.py" in found.notes[0]
    assert "not run" in found.notes[0]


def test_nothing_comes_of_nothing(tmp_path: Path) -> None:
    assert origins([]).contents() == {}
    assert origins([SmallFiles("state dict")]).contents() == {}
