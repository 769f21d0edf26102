"""Models whose tensors fit: whether they are the same network, and what goes with the output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.engine.prepare import prepare
from stockpot.engine.verify import verify
from stockpot.errors import FieldError, MergeError
from stockpot.methods import Average, Slerp
from stockpot.recipes.reading.recipe import parse_recipe

CONFIG: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8,
    "num_attention_heads": 2, "vocab_size": 6, "hidden_act": "silu", "torch_dtype": "float32",
    "tie_word_embeddings": False, "rms_norm_eps": 1e-6,
}  # fmt: skip
WORDS = ("a", "b", "c", "d", "<s>", "</s>")
Make = Callable[..., str]


@pytest.fixture
def model(tmp_path: Path) -> Make:
    """Writes a model's folder: its configuration, its words, and other files by name."""

    def write(
        name: str,
        config: dict[str, Any] | None = None,
        words: tuple[str, ...] | None = WORDS,
        rows: int = 6,
        **more: str,
    ) -> str:
        folder = tmp_path / name
        folder.mkdir()
        value = float(len(list(tmp_path.iterdir())))
        tensors = {
            "model.embed_tokens.weight": torch.full((rows, 8), value),
            "model.layers.0.self_attn.q_proj.weight": torch.full((8, 8), value),
            "lm_head.weight": torch.full((rows, 8), value),
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(
            json.dumps(CONFIG | (config or {}) | {"_name_or_path": name})
        )
        if words is not None:
            vocab = {word: row for row, word in enumerate(words)}
            content = {"model": {"type": "WordLevel", "vocab": vocab}, "from": name}
            (folder / "tokenizer.json").write_text(json.dumps(content))
        for file, text in more.items():
            (folder / file.replace("__", ".")).write_text(text)
        return str(folder)

    return write


def prepared(tmp_path: Path, method: object, *models: object, **more: Any) -> Any:
    recipe = parse_recipe({"method": method, "models": list(models), **more})
    return prepare(recipe, Options(), tmp_path / "out")


def merged(tmp_path: Path, method: object, *models: object, **more: Any) -> Path:
    recipe = parse_recipe({"method": method, "models": list(models), **more})
    run_recipe(recipe, tmp_path / "out", Options(overwrite=True))
    return tmp_path / "out"


def sources(out: Path) -> dict[str, str]:
    """The model that each group came from, by the files and by the manifest."""
    manifest = json.loads((out / "merge.json").read_text())
    names = [Path(one["path"]).name for one in manifest["inputs"]]
    told = {group: names[one["from"]] for group, one in manifest["output"]["groups"].items()}
    config = json.loads((out / "config.json").read_text())
    words = json.loads((out / "tokenizer.json").read_text())
    assert (told["configuration"], told["tokenizer"]) == (config["_name_or_path"], words["from"])
    return told


CHAT = {"chat_template__jinja": "{{x}}", "generation_config__json": '{"eos_token_id": 5}'}


def test_ties_on_a_base_keeps_the_template_of_the_fine_tunes(model: Make, tmp_path: Path) -> None:
    base = model("base", {"max_position_embeddings": 2048})
    a = model("a", {"max_position_embeddings": 8192}, **CHAT)
    b = model("b", {"max_position_embeddings": 8192}, **CHAT)
    out = merged(tmp_path, "ties", a, b, base=base)
    assert sources(out) == dict.fromkeys(("configuration", "tokenizer", "chat template"), "a")
    assert (out / "chat_template.jinja").read_text() == "{{x}}"
    assert json.loads((out / "generation_config.json").read_text()) == {"eos_token_id": 5}
    assert json.loads((out / "config.json").read_text())["max_position_embeddings"] == 8192
    assert verify(out).problems == ()
    manifest = json.loads((out / "merge.json").read_text())
    assert manifest["output"]["small"]["chat_template.jinja"]["group"] == "chat template"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_chat_vector_keeps_the_template_in_both_orders(
    model: Make, tmp_path: Path, order: tuple[int, int]
) -> None:
    base, two = model("base"), [model("math"), model("chat", **CHAT)]
    models = [two[k] for k in order]
    found = sources(merged(tmp_path, "task-arithmetic", *models, base=base))
    assert found["chat template"] == "chat"
    assert found["tokenizer"] == ("math", "chat")[order[0]]


def test_negation_takes_what_lies_beside_the_base(model: Make, tmp_path: Path) -> None:
    base, toxic = model("base"), model("toxic", **CHAT)
    away = {"path": toxic, "weight": -1.0}
    out = merged(tmp_path, "task-arithmetic", away, base=base)
    assert sources(out) == {"configuration": "base", "tokenizer": "base"}
    good = model("good")
    out = merged(tmp_path, "task-arithmetic", away, {"path": good, "weight": 1}, base=base)
    assert sources(out)["configuration"] == "good"
    zero = {"path": good, "weight": 0}
    assert sources(merged(tmp_path, "task-arithmetic", zero, base=base))["configuration"] == "base"


def test_a_base_listed_among_the_models_is_the_base(model: Make, tmp_path: Path) -> None:
    base, a = model("base"), model("a", **CHAT)
    (tmp_path / "alias").symlink_to(base)
    for listed in (base, str(tmp_path / "alias")):
        out = merged(tmp_path, "task-arithmetic", listed, a, base=base)
        assert sources(out)["configuration"] == "a"


def test_a_folder_without_a_configuration_leaves_it_to_the_next(
    model: Make, tmp_path: Path
) -> None:
    a, b = model("a", words=None), model("b")
    (Path(a) / "config.json").unlink()
    assert sources(merged(tmp_path, "average", a, b))["configuration"] == "b"
    notes = prepared(tmp_path / "n", "average", a, b).assignments.notes
    assert f"the output has the configuration and tokenizer of {b}." in notes


def test_files_from_overrides(model: Make, tmp_path: Path) -> None:
    base, a, b = model("base"), model("a", **CHAT), model("b")
    for name, expected in (("base", "base"), (b, "b"), (1, "b"), (a, "a")):
        recipe = {"base": base, "output": {"files_from": name}}
        out = merged(tmp_path, "task-arithmetic", a, b, **recipe)
        assert sources(out)["configuration"] == expected
        assert (out / "chat_template.jinja").exists() == (expected == "a")
    other = model("other", {"rms_norm_eps": 1e-3})
    found = prepared(tmp_path / "n", "average", a, b, output={"files_from": other})
    assert found.origins.donors["configuration"].label == other
    assert any("rms_norm_eps" in note for note in found.assignments.notes)
    with pytest.raises(FieldError, match=r"output\.files_from: there is no model 'nothing'"):
        merged(tmp_path, "average", a, b, output={"files_from": "nothing"})


@pytest.mark.parametrize("flip", [False, True])
def test_other_heads_are_refused_in_both_orders(model: Make, tmp_path: Path, flip: bool) -> None:
    a, b = model("a"), model("b", {"num_attention_heads": 4})
    models = [b, a] if flip else [a, b]
    with pytest.raises(MergeError) as error:
        prepared(tmp_path, "average", *models)
    for text in ("num_attention_heads is", f"4 in {b}", f"2 in {a}", "--allow-different-configs"):
        assert text in str(error.value)
    with pytest.raises(MergeError, match="num_attention_heads"):
        sp.merge(models, Average())
    files = [f"{path}/model.safetensors" for path in models]
    with pytest.raises(MergeError, match="num_attention_heads"):
        prepared(tmp_path, "average", *files)
    found = prepared(tmp_path, "average", *models, allow_different_configs=True)
    (note,) = [note for note in found.assignments.notes if "num_attention_heads is" in note]
    assert note.endswith(f"The output has the configuration of {models[0]}.")
    assert len(sp.merge(models, Average(), allow_different_configs=True)) == 3


def test_what_shifts_is_told_with_both_values(model: Make, tmp_path: Path) -> None:
    a, b = model("a"), model("b", {"rms_norm_eps": 1e-5, "rope_theta": 1e6})
    (note,) = [n for n in prepared(tmp_path, "average", a, b).assignments.notes if "rope" in n]
    assert f"rms_norm_eps is 1e-06 in {a}, 1e-05 in {b}" in note
    assert f"rope_theta is 10000 in {a}, 1000000 in {b}" in note
    assert note.endswith(f"The output has the configuration of {a}.")


def test_an_ordinary_pair_merges_without_a_word(model: Make, tmp_path: Path) -> None:
    a, b, base = model("a", **CHAT), model("b", {"use_cache": True}, **CHAT), model("base", **CHAT)
    assert prepared(tmp_path, "average", a, b).assignments.notes == ()
    assert prepared(tmp_path, "ties", a, b, base=base).assignments.notes == ()


MOVED = ("b", "a", "c", "d", "<s>", "</s>")


def test_tokens_in_other_rows_are_refused_unless_one_model_gives_them(
    model: Make, tmp_path: Path
) -> None:
    a, b = model("a"), model("b", words=MOVED)
    with pytest.raises(MergeError) as error:
        prepared(tmp_path, "average", a, b)
    text = str(error.value)
    assert f"'a' is row 0 in {a} and row 1 in {b}; 2 of the 6 rows that both name" in text
    assert f"--copy 'model.embed_tokens.weight={a}' --copy 'lm_head.weight={a}'" in text
    rules = [{"match": name, "copy": b} for name in ("*embed_tokens*", "lm_head*")]
    out = merged(tmp_path, "average", a, b, rules=rules)
    assert sources(out) == {"configuration": "a", "tokenizer": "b"}
    half = [rules[0], {"match": "lm_head*", "copy": a}]
    with pytest.raises(MergeError, match="row 0"):
        prepared(tmp_path, "average", a, b, rules=half)


def test_tokens_of_a_base_count_where_it_is_used(model: Make, tmp_path: Path) -> None:
    a, b, base = model("a"), model("b"), model("base", words=MOVED)
    with pytest.raises(MergeError, match="row 0"):
        prepared(tmp_path, "task-arithmetic", a, b, base=base)
    prepared(tmp_path, "average", a, b, base=base)


def test_chat_tokens_at_the_end_are_an_ordinary_case(model: Make, tmp_path: Path) -> None:
    base = model("base", rows=8)
    chat = model("chat", words=(*WORDS, "<|im_start|>", "<|im_end|>"), rows=8)
    math = model("math", rows=8)
    found = prepared(tmp_path, "task-arithmetic", chat, math, base=base)
    (note,) = [n for n in found.assignments.notes if "tokenizers" in n]
    assert f"'<|im_start|>', '<|im_end|>' only in {chat}" in note
    assert note.endswith(f"The output has the tokenizer of {chat}.")


def test_an_embedding_of_more_rows_says_so_in_the_configuration(
    model: Make, tmp_path: Path
) -> None:
    a, b = model("a"), model("b", {"vocab_size": 9}, rows=9)
    rules = [{"match": name, "copy": b} for name in ("*embed_tokens*", "lm_head*")]
    out = merged(tmp_path, "average", a, b, rules=rules)
    assert sources(out) == {"configuration": "a", "tokenizer": "b"}
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 9
    assert load_file(out / "model.safetensors")["lm_head.weight"].shape == (9, 8)
    assert verify(out).problems == ()


def test_classes_in_another_order_are_refused_where_they_are_merged(tmp_path: Path) -> None:
    for name, labels in (("a", ("no", "yes")), ("b", ("yes", "no"))):
        (tmp_path / name).mkdir()
        tensors = {"classifier.weight": torch.ones(2, 4), "body.weight": torch.ones(4, 4)}
        save_file(tensors, tmp_path / name / "model.safetensors")
        config = {"id2label": {str(i): label for i, label in enumerate(labels)}}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    models = [str(tmp_path / name) for name in "ab"]
    with pytest.raises(MergeError, match=r"id2label is \['no', 'yes'\]"):
        prepared(tmp_path, "average", *models)
    rules = [{"match": "classifier*", "copy": models[1]}]
    prepared(tmp_path, "average", *models, rules=rules)


def test_pointers_of_git_lfs_are_refused(model: Make, tmp_path: Path) -> None:
    a, b = model("a"), model("b")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    (Path(b) / "tokenizer.json").write_text(pointer)
    with pytest.raises(MergeError, match=r"b: tokenizer\.json is .* git-lfs pointer: run `git lfs"):
        prepared(tmp_path, "average", a, b)


def test_dense_modules_of_their_own_are_refused(model: Make, tmp_path: Path) -> None:
    models = [model("a"), model("b")]
    for number, path in enumerate(models):
        for folder, file, content in (
            ("1_Pooling", "config.json", '{"pooling_mode_mean_tokens": true}'),
            ("2_Dense", "model.safetensors", "same"),
        ):
            (Path(path) / folder).mkdir()
            (Path(path) / folder / file).write_text(content)
        (Path(path) / "modules.json").write_text(f'{{"x": {number}}}')
    out = merged(tmp_path, "average", *models)
    assert (out / "2_Dense" / "model.safetensors").read_text() == "same"
    assert (out / "1_Pooling" / "config.json").is_file()
    (Path(models[1]) / "2_Dense" / "model.safetensors").write_text("diff")
    with pytest.raises(MergeError, match=r"weights of 2_Dense/model\.safetensors"):
        prepared(tmp_path, "average", *models)
    (Path(models[1]) / "2_Dense" / "model.safetensors").write_text("same")
    (Path(models[1]) / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(MergeError, match="pooling_mode_cls_token"):
        prepared(tmp_path, "average", *models)


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_a_component_of_diffusers_keeps_its_stem(tmp_path: Path, variant: str) -> None:
    stem = "diffusion_pytorch_model"
    for name in "ab":
        (tmp_path / name).mkdir()
        tensors = {f"conv{i}.weight": torch.ones(16, 16).half() for i in range(2)}
        save_file(tensors, tmp_path / name / f"{stem}{variant}.safetensors")
        (tmp_path / name / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    models = [str(tmp_path / name) for name in "ab"]
    out = merged(tmp_path, "average", *models)
    assert (out / f"{stem}{variant}.safetensors").is_file()
    assert verify(out).problems == ()
    out = merged(tmp_path, "average", *models, output={"shard_size": "600B"})
    index = json.loads((out / f"{stem}.safetensors.index{variant}.json").read_text())
    assert set(index["weight_map"].values()) == {
        f"{stem}{variant}-0000{i}-of-00002.safetensors" for i in (1, 2)
    }
    assert verify(out).problems == ()
    out = merged(tmp_path, "average", *models, output={"dtype": "float32"})
    assert (out / f"{stem}.safetensors").is_file()  # fp16 would be a lie


def test_an_interpolation_from_the_base_takes_the_models_files(model: Make, tmp_path: Path) -> None:
    base, a = model("base"), model("a", **CHAT)
    recipe = parse_recipe({"method": Slerp(t=0.5), "models": [a], "base": base})
    run_recipe(recipe, tmp_path / "out")
    assert sources(tmp_path / "out")["configuration"] == "a"


def test_verify_looks_at_the_configuration(model: Make, tmp_path: Path) -> None:
    out = merged(tmp_path, "average", model("a"), model("b"))
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"vocab_size": 99}))
    assert any("vocab_size 99" in problem for problem in verify(out).problems)
