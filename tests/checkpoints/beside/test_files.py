"""Small files of a stranger's folder: which are listed, within which bounds."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints.beside import files
from stockpot.checkpoints.beside.code import CONFIGURATIONS, code_of
from stockpot.checkpoints.beside.files import home_of, small_files, survey
from stockpot.checkpoints.beside.names import Group, group_of
from stockpot.checkpoints.entry import from_state_dict
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError


def write(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


def test_kinds_of_files_are_told_by_their_names(tmp_path: Path) -> None:
    wanted_names = (
        "config.json merges.txt spiece.model source.spm bpe.codes vocab.bpe qwen.tiktoken "
        "tokenizer.model.v3 chat_template.jinja LICENSE NOTICE USE_POLICY.md LICENSE.txt "
        "modeling.py"
    )
    other_names = (
        "model.safetensors pytorch_model.bin model.safetensors.index.json merge.json README.md "
        "model.safetensors.index.fp16.json x.safetensors.merge.json .secret.json photo.png "
        "adapter_config.json trainer_state.json all_results.json requirements.txt"
    )
    wanted, others = wanted_names.split(), other_names.split()
    for name in wanted + others:
        (tmp_path / name).write_text("{}")
    (tmp_path / "folder.json").mkdir()
    found = survey(tmp_path, "m")
    assert sorted(found.sizes) == sorted(wanted)
    assert found.left == found.pointers == ()
    assert small_files(from_state_dict({"w": torch.zeros(2)}, "s")).sizes == {}


def test_subfolders_of_templates_and_modules_alone(tmp_path: Path) -> None:
    for name in ("additional_chat_templates/tool.jinja", "1_Pooling/config.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    for name in ("2_Dense/model.safetensors", "checkpoint-5/config.json", "onnx/config.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    assert sorted(survey(tmp_path, "m").sizes) == [
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
        "additional_chat_templates/tool.jinja",
    ]  # fmt: skip


def test_links_stay_within_the_folder_or_the_cache_of_the_hub(tmp_path: Path) -> None:
    cache = tmp_path / "models--org--net"
    folder = cache / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (cache / "blobs").mkdir()
    (cache / "blobs" / "123").write_text('{"a": 1}')
    (folder / "config.json").symlink_to("../../blobs/123")
    (tmp_path / "secret").write_text("hunter2")
    (folder / "vocab.txt").symlink_to(tmp_path / "secret")
    (folder / "merges.txt").symlink_to("/proc/self/environ")
    (folder / "LICENSE").write_text("own")
    (folder / "NOTICE").symlink_to("LICENSE")
    (cache / "refs").write_text("main")
    (folder / "added_tokens.json").symlink_to("../../refs")
    found = survey(folder, "m")
    assert sorted(found.sizes) == ["LICENSE", "NOTICE", "config.json"]
    assert found.read("config.json") == b'{"a": 1}'
    (note,) = found.left
    for name in ("vocab.txt", "merges.txt", "added_tokens.json"):
        assert name in note


def test_a_link_to_the_folder_itself_is_no_matter(tmp_path: Path) -> None:
    write(tmp_path / "real", config__json="{}")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list(survey(tmp_path / "link", "m").sizes) == ["config.json"]


def test_pipes_loops_and_devices_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "nowhere.json").symlink_to("nothing")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    found = survey(tmp_path, "m")
    assert found.sizes == {}
    assert "zero.json" in found.left[0]
    assert "config.json" in found.left[1]


def test_size_and_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"a.json": 2**25, "tokenizer.json": 2**25, "vocab.txt": 2**28}.items():
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    found = survey(tmp_path, "m")
    assert list(found.sizes) == ["tokenizer.json"]
    assert "'a.json', 'vocab.txt'" in found.left[0]
    for number in range(9):
        (tmp_path / f"x{number}.txt").write_text("x")
    monkeypatch.setattr(files, "MOST", 4)
    assert len(survey(tmp_path, "m").sizes) == 4
    monkeypatch.setattr(files, "LARGEST_SUM", 3)
    assert sum(survey(tmp_path, "m").sizes.values()) == 3


def test_pointers_of_git_lfs_are_told(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9085657\n"
    write(tmp_path, tokenizer__json=pointer, config__json="{}")
    assert survey(tmp_path, "m").pointers == ("tokenizer.json",)


def test_a_file_that_changes_between_is_no_silent_change(tmp_path: Path) -> None:
    write(tmp_path, config__json="{}")
    found = survey(tmp_path, "m")
    write(tmp_path, config__json="{ }")
    with pytest.raises(CheckpointError, match="changed"):
        found.read("config.json")


def test_a_file_has_the_home_that_plainly_is_its_own(tmp_path: Path) -> None:
    write(tmp_path, config__json="{}")
    for name in ("model.safetensors", "soup.safetensors"):
        save_file({"w": torch.zeros(2)}, tmp_path / name)
    assert home_of(read_checkpoint(tmp_path / "model.safetensors")) == tmp_path
    assert home_of(read_checkpoint(tmp_path / "soup.safetensors")) is None
    (tmp_path / "config.json").unlink()
    assert home_of(read_checkpoint(tmp_path / "model.safetensors")) is None
    assert home_of(read_checkpoint(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("group", "names"),
    [
        (Group.TOKENIZER, "tokenizer.json vocab.json vocab-src.json tekken.json x.spm a.tiktoken"),
        (Group.TEMPLATE, "generation_config.json chat_template.json additional/x.jinja"),
        (Group.CONFIGURATION, "config.json preprocessor_config.json LICENSE 1_Pooling/config.json"),
    ],
)
def test_groups_by_name(group: Group, names: str) -> None:
    assert {group_of(name) for name in names.split()} == {group}


def test_code_is_what_the_configuration_names_and_what_that_imports(tmp_path: Path) -> None:
    write(
        tmp_path,
        config__json='{"auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": ["h--y.Y", null]}}',
        modeling_x__py="import torch\nfrom .helper import a\n    from .deep.er import b\n",
        helper__py="from . import nothing\nimport .other\nfrom .modeling_x import X\n",
        other__py="",
        deep__py="from ..outside import z\n",
        setup__py="",
    )
    assert code_of(survey(tmp_path, "m"), CONFIGURATIONS) == (
        "modeling_x.py", "helper.py", "deep.py", "other.py",
    )  # fmt: skip
