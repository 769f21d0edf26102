"""Small networks of other people's making, with random weights, on disk as they are found there."""

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="session")
def transformers():
    return pytest.importorskip("transformers", reason="transformers is in stockpot[hf]")


@pytest.fixture(scope="session")
def bert(transformers, tmp_path_factory):
    """A text classifier of three classes."""
    path = tmp_path_factory.mktemp("bert")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12, num_labels=3,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def vit(transformers, tmp_path_factory):
    """An image classifier of three classes, 3 x 8 x 8 pixels."""
    path = tmp_path_factory.mktemp("vit")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=8, patch_size=4, num_labels=3,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def clip_config(transformers):
    return transformers.CLIPVisionConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=8, patch_size=4, projection_dim=6,
    )  # fmt: skip


@pytest.fixture
def clip(transformers, clip_config, store_head, tmp_path):
    """A vision tower with one stored head of three classes, `cars`."""
    path = tmp_path / "clip"
    transformers.CLIPVisionModelWithProjection(clip_config).save_pretrained(path)
    store_head(path, "cars", torch.randn(3, 6))
    return path


@pytest.fixture(scope="session")
def store_head():
    """Writes text embeddings and a scale as a head of a CLIP directory."""

    def store(path, name, text_embeds, **others):
        (path / "heads").mkdir(exist_ok=True)
        tensors = {"text_embeds": text_embeds, "logit_scale": torch.tensor(2.0), **others}
        save_file(tensors, path / "heads" / f"{name}.safetensors")

    return store
