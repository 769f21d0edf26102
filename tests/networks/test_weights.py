import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from stockpot.errors import CheckpointError
from stockpot.networks import build, headed, load_body, load_weights, save_weights


def network(seed=0, **options):
    return build("mlp", num_classes=3, in_channels=1, image_size=4, width=8, seed=seed, **options)


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "net.safetensors"
    save_weights(network(), target, {"who": "me"})
    return target


def test_weights_and_metadata_survive_the_disk(path):
    loaded = load_weights(network(seed=1), path)
    for name, tensor in network().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "who": "me"}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_equal_weights_give_equal_bytes_and_replace_what_was_there(path):
    content = path.read_bytes()
    for _ in range(5):
        path.write_bytes(b"something else")
        save_weights(network(), path, {"who": "me"})
        assert path.read_bytes() == content


def test_odd_dtypes_and_shapes_survive(tmp_path):
    odd = nn.Module()
    odd.register_buffer("scalar", torch.tensor(3))
    odd.register_buffer("mask", torch.tensor([True, False]))
    odd.register_buffer("narrow", torch.randn(3, 2).T.bfloat16())
    odd.register_buffer("empty", torch.zeros(0, 4))
    save_weights(odd, tmp_path / "odd.safetensors", {})
    loaded = load_file(tmp_path / "odd.safetensors")
    assert loaded.keys() == odd.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in odd.state_dict().items())


class Tied(nn.Module):
    """An output layer that is its embedding, as in many language models."""

    def __init__(self, tied=True):
        super().__init__()
        self.embed, self.out = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.out.weight = self.embed.weight if tied else self.out.weight


@pytest.mark.parametrize("kept", ["embed.weight", "out.weight"])
def test_a_file_may_leave_out_other_names_of_one_tensor(tmp_path, kept):
    source, target = Tied(), Tied()
    save_file({kept: source.embed.weight.detach()}, tmp_path / "tied.safetensors")
    load_weights(target, tmp_path / "tied.safetensors")
    assert torch.equal(target.out.weight, source.embed.weight)
    assert target.out.weight is target.embed.weight
    with pytest.raises(CheckpointError, match="is missing from the file"):
        load_weights(Tied(tied=False), tmp_path / "tied.safetensors")


def test_every_difference_is_named_and_nothing_is_changed(path, tmp_path):
    state = load_file(path)
    state["head.weight"] = torch.zeros(4, 8)
    state["body.1.weight"] = state["body.1.weight"].long()
    state["extra"] = state.pop("head.bias")
    save_file(state, tmp_path / "other.safetensors")
    target = network(seed=1)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(target, tmp_path / "other.safetensors")
    for words in (
        "'head.weight' is (4, 8), the network has (3, 8)",
        "'body.1.weight' is torch.int64",
        "'extra' is not in the network",
        "'head.bias' is missing",
    ):
        assert words in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_many_differences_are_counted(tmp_path):
    save_file({f"other.{i}": torch.zeros(1) for i in range(30)}, tmp_path / "o.safetensors")
    with pytest.raises(CheckpointError, match=r"and 16 more"):
        load_weights(network(), tmp_path / "o.safetensors")


def test_half_precision_is_cast_to_the_network(path, tmp_path):
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(halves, tmp_path / "half.safetensors")
    loaded = load_weights(network(seed=1), tmp_path / "half.safetensors")
    assert loaded.head.weight.dtype == torch.float32
    assert torch.equal(loaded.head.weight, halves["head.weight"].float())


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "no.safetensors").write_text("<html></html>")
    with pytest.raises(CheckpointError):
        load_weights(network(), tmp_path / "no.safetensors")
    with pytest.raises(CheckpointError):
        load_weights(network(), tmp_path / "absent.safetensors")


def test_a_body_is_loaded_and_the_head_kept(tmp_path):
    source = build("mlp", num_classes=9, in_channels=1, image_size=4, width=8, seed=5)
    save_weights(source, tmp_path / "nine.safetensors", {})
    target = network(seed=1)
    head = target.head.weight.clone()
    split = headed(target, torch.rand(2, 1, 4, 4))
    assert load_body(split, tmp_path / "nine.safetensors") == ("head.weight", "head.bias")
    assert torch.equal(target.head.weight, head)
    assert torch.equal(target.body[1].weight, source.body[1].weight)


def test_a_body_that_does_not_fit_is_refused_and_nothing_is_changed(path):
    target = network(seed=1, depth=3)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"'body\.5\.weight' is missing from the file"):
        load_body(headed(target, torch.rand(2, 1, 4, 4)), path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_a_body_does_not_need_a_head_in_the_file(path, tmp_path):
    state = {name: one for name, one in load_file(path).items() if not name.startswith("head.")}
    save_file(state, tmp_path / "body.safetensors")
    target = network(seed=1)
    load_body(headed(target, torch.rand(2, 1, 4, 4)), tmp_path / "body.safetensors")
    assert torch.equal(target.body[1].weight, state["body.1.weight"])
