import copy
import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from stockpot.errors import CheckpointError, FieldError, StockpotError
from stockpot.networks import headed, load_body, load_weights, open_network, save_weights

IMAGES = {"num_classes": 3, "in_channels": 3, "image_size": 8}
TEXT = {"num_classes": 3, "in_channels": 2, "image_size": 7}


def texts(count=4):
    """Ids over a mask; the first has all its tokens, each next one fewer."""
    ids = torch.randint(1, 50, (count, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.stack([(torch.arange(7) < 7 - row).long() for row in range(count)])
    return torch.stack([ids * mask, mask], dim=1)


def test_a_text_classifier_gives_the_librarys_logits(bert, transformers):
    theirs = transformers.BertForSequenceClassification.from_pretrained(bert).eval()
    batch = texts()
    expected = theirs(input_ids=batch[:, 0], attention_mask=batch[:, 1]).logits
    network = open_network(f"hf:{bert}", **TEXT)
    assert torch.equal(network(batch), expected)
    assert not torch.allclose(network(batch[:, :, :6]), expected[:, :])


def test_padding_does_not_change_a_text(bert):
    network = open_network(f"hf:{bert}", **TEXT)
    batch = texts()
    changed = batch.clone()
    changed[:, 0][batch[:, 1] == 0] = 9
    torch.testing.assert_close(network(changed), network(batch))


def test_an_image_classifier_gives_the_librarys_logits(vit, transformers):
    theirs = transformers.ViTForImageClassification.from_pretrained(vit).eval()
    images = torch.rand(4, 3, 8, 8)
    network = open_network(f"hf:{vit}", **IMAGES)
    assert torch.equal(network(images), theirs(images).logits)


def test_the_head_is_found_and_the_state_dict_is_the_checkpoints(bert, vit):
    for path, sizes, batch in ((bert, TEXT, texts()), (vit, IMAGES, torch.rand(4, 3, 8, 8))):
        network = open_network(f"hf:{path}", **sizes)
        split = headed(network, batch)
        logits, features = split.run(batch)
        assert split.name == "classifier"
        assert torch.equal(split.head(features), logits)
        stored = load_file(path / "model.safetensors")
        state = network.state_dict()
        assert state.keys() == stored.keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in stored.items())


@pytest.mark.parametrize("copied", ["no", "deepcopy", "pickle"])
def test_what_it_saves_it_and_the_library_load(vit, transformers, tmp_path, copied):
    network = open_network({"name": f"hf:{vit}", "start": "random"}, **IMAGES)
    if copied != "no":
        network = copy.deepcopy(network) if copied == "deepcopy" else repickled(network)
    images = torch.rand(2, 3, 8, 8)
    expected = network(images)
    save_weights(network, tmp_path / "model.safetensors", {})
    (tmp_path / "config.json").write_bytes((vit / "config.json").read_bytes())
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(theirs(images).logits, expected)
    other = open_network(f"hf:{vit}", **IMAGES)
    assert torch.equal(load_weights(other, tmp_path)(images), expected)
    other.load_state_dict(dict(open_network(f"hf:{vit}", **IMAGES).state_dict()))
    assert not torch.equal(other(images), expected)


def test_names_are_the_checkpoints_also_within_another_module(vit):
    outer = torch.nn.ModuleDict({"part": open_network(f"hf:{vit}", **IMAGES)})
    stored = load_file(vit / "model.safetensors")
    assert outer.state_dict().keys() == {f"part.{name}" for name in stored}
    assert list(outer.load_state_dict(outer.state_dict())) == [[], []]


def repickled(network):
    return pickle.loads(pickle.dumps(network))


def test_a_copy_and_a_pickle_are_networks_of_their_own(vit):
    network = open_network(f"hf:{vit}", **IMAGES)
    images = torch.rand(2, 3, 8, 8)
    expected = network(images)
    others = copy.deepcopy(network), repickled(network)
    torch.nn.init.zeros_(network.classifier.weight)
    for other in others:
        assert torch.equal(other(images), expected)


def test_it_works_with_weights_from_outside(vit):
    network = open_network(f"hf:{vit}", **IMAGES)
    zeros = {name: torch.zeros_like(one) for name, one in network.named_parameters()}
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(torch.func.functional_call(network, zeros, (images,)), torch.zeros(2, 3))


def test_a_random_start_comes_from_the_seed_and_not_from_the_weights(vit):
    spec = {"name": f"hf:{vit}", "start": "random"}
    stored = open_network(f"hf:{vit}", **IMAGES)
    first, again, other = (open_network(spec, seed=seed, **IMAGES) for seed in (0, 0, 1))
    weight = first.classifier.weight
    assert torch.equal(weight, again.classifier.weight)
    assert not torch.equal(weight, other.classifier.weight)
    assert not torch.equal(weight, stored.classifier.weight)


def test_a_random_start_needs_no_weights(vit, tmp_path):
    (tmp_path / "config.json").write_bytes((vit / "config.json").read_bytes())
    network = open_network(
        {"name": f"hf:{tmp_path}", "start": "random"}, **{**IMAGES, "num_classes": 5}
    )
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 5)
    with pytest.raises(CheckpointError, match="cannot be opened"):
        open_network(f"hf:{tmp_path}", **IMAGES)


def test_a_head_of_another_class_count_is_refused_until_a_new_one_is_asked_for(bert, caplog):
    five = {**TEXT, "num_classes": 5}
    with pytest.raises(CheckpointError, match=r"classifier\.bias, classifier\.weight.*head: new"):
        open_network(f"hf:{bert}", **five)
    caplog.set_level("INFO", "stockpot")
    spec = {"name": f"hf:{bert}", "head": "new"}
    first, again, other = (open_network(spec, seed=seed, **five) for seed in (0, 0, 1))
    assert "new: classifier.weight, classifier.bias" in caplog.text
    stored = load_file(bert / "model.safetensors")
    for name, tensor in first.state_dict().items():
        if name.startswith("bert."):
            assert torch.equal(tensor, stored[name])
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_a_new_head_is_new_also_where_the_stored_one_fits(bert):
    network = open_network({"name": f"hf:{bert}", "head": "new"}, **TEXT)
    stored = load_file(bert / "model.safetensors")
    assert not torch.equal(network.classifier.weight, stored["classifier.weight"])


def test_a_body_without_a_head_is_a_start_when_a_new_head_is_asked_for(
    bert, transformers, tmp_path
):
    transformers.BertModel.from_pretrained(bert).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"classifier\.weight"):
        open_network(f"hf:{tmp_path}", **TEXT)
    network = open_network({"name": f"hf:{tmp_path}", "head": "new"}, **TEXT)
    stored = load_file(bert / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(network.state_dict()[name], stored[name])


def test_a_body_with_a_missing_tensor_is_refused_even_with_a_new_head(bert, tmp_path):
    state = load_file(bert / "model.safetensors")
    del state["bert.pooler.dense.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((bert / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"bert\.pooler\.dense\.weight"):
        open_network({"name": f"hf:{tmp_path}", "head": "new"}, **TEXT)


def test_half_precision_is_opened_in_single(vit, transformers, tmp_path):
    transformers.ViTForImageClassification.from_pretrained(vit).bfloat16().save_pretrained(tmp_path)
    for start in ("weights", "random"):
        network = open_network({"name": f"hf:{tmp_path}", "start": start}, **IMAGES)
        assert {one.dtype for one in network.parameters()} == {torch.float32}


def test_a_body_from_a_file_with_another_head(vit, tmp_path):
    source = open_network({"name": f"hf:{vit}", "head": "new"}, **{**IMAGES, "num_classes": 9})
    save_weights(source, tmp_path / "nine.safetensors", {})
    network = open_network({"name": f"hf:{vit}", "start": "random"}, **IMAGES)
    head = network.classifier.weight.clone()
    left = load_body(headed(network, torch.rand(2, 3, 8, 8)), tmp_path / "nine.safetensors")
    assert left == ("classifier.weight", "classifier.bias")
    assert torch.equal(network.classifier.weight, head)
    name = "vit.embeddings.cls_token"
    assert torch.equal(network.state_dict()[name], source.state_dict()[name])


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"haed": "new"}, "unknown key 'haed': did you mean 'head'"),
        ({"head": "old"}, "head must be one of 'keep', 'new'; got 'old'"),
        ({"start": True}, "start must be one of 'weights', 'random'; got True"),
    ],
)
def test_its_own_keys_are_checked(vit, own, words):
    with pytest.raises(FieldError, match=words):
        open_network({"name": f"hf:{vit}", **own}, **IMAGES)


def test_inputs_that_do_not_fit_are_refused_when_it_is_opened(vit, bert):
    with pytest.raises(StockpotError, match=r"cannot take inputs of shape \(1, 3, 16, 16\)"):
        open_network(f"hf:{vit}", **{**IMAGES, "image_size": 16})
    with pytest.raises(StockpotError, match=r"cannot take inputs of shape \(1, 2, 40\)"):
        open_network(f"hf:{bert}", **{**TEXT, "image_size": 40})


def test_what_is_no_classifier_is_refused(tmp_path, transformers):
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        open_network(f"hf:{tmp_path}", **IMAGES)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        open_network(f"hf:{tmp_path}", **IMAGES)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vits"}))
    with pytest.raises(StockpotError, match="no image or text classifier of the type 'vits'"):
        open_network(f"hf:{tmp_path}", **IMAGES)


def test_a_head_for_each_token_is_refused(transformers, tmp_path):
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=12, n_embd=16, n_layer=1, n_head=2, num_labels=3, pad_token_id=0
    )
    transformers.GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    network = open_network(f"hf:{tmp_path}", **TEXT)
    with pytest.raises(StockpotError, match=r"'score'.*sees \(4, 7, 16\).*must be \[N, F\]"):
        headed(network, texts())


def test_opening_says_nothing_and_leaves_the_librarys_settings(vit, transformers, capfd):
    words = transformers.utils.logging
    before = words.get_verbosity(), words.is_progress_bar_enabled()
    open_network({"name": f"hf:{vit}", "head": "new"}, **IMAGES)
    assert (words.get_verbosity(), words.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


def test_where_files_are_cut_otherwise_the_modules_names_stay_and_it_is_said(
    transformers, tmp_path, caplog
):
    config = transformers.MixtralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, num_local_experts=2, num_labels=3,
        pad_token_id=0,
    )  # fmt: skip
    transformers.MixtralForSequenceClassification(config).save_pretrained(tmp_path)
    network = open_network(f"hf:{tmp_path}", **TEXT)
    assert "files and modules differ in more than names" in caplog.text
    assert "model.layers.0.mlp.experts.down_proj" in network.state_dict()
    assert network(texts()).shape == (4, 3)
    with pytest.raises(CheckpointError, match="experts"):
        load_weights(network, tmp_path)
