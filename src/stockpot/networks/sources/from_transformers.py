"""Classifiers of transformers from a local directory: images or text in, logits out.

The network stays the library's own module: hooks translate its inputs, its output and the names of
its state dict, which are the checkpoint's. So copies and pickles of it work.

Shapes: N samples, C channels, H x W pixels, T tokens, L classes.
"""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...errors import CheckpointError, StockpotError
from ...libraries import optional
from ...texts import visible
from ...values.from_plain_data import read
from ...values.section import Section
from .names import keep_file_names
from .task import Task, require_logits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys(Section):
    """A network's own keys.

    Attributes:
        start: with the weights of its file, or random ones.
        head: the file's, where it fits, or a new one.
    """

    start: Literal["weights", "random"] = "weights"
    head: Literal["keep", "new"] = "keep"


def open_transformers(path: str, task: Task, own: Mapping[str, object]) -> nn.Module:
    """The image or text classifier that the directory's config.json describes.

    A text classifier takes int64 [N, 2, T]: token ids over their attention mask.

    Args:
        path: a directory with config.json, and weights unless `start` is random.
        task: what it is opened for.
        own: `start`: weights (those in the directory) or random; `head`: keep (the stored head must
            fit) or new (a random one; what lies outside the body is left out, and logged).

    Raises:
        ExtraError: without transformers.
        FieldError: for another key or word.
        CheckpointError: where the directory does not hold what it should.
        StockpotError: where the network cannot take such inputs.
    """
    label = f"hf:{path}"
    chosen = read(Keys, own, label)
    transformers = optional("transformers", "hf")
    require_directory(path)
    with quiet(transformers), refusals(label):
        config = transformers.AutoConfig.from_pretrained(path, **LOCAL)
        config.num_labels = task.num_classes
        auto, takes, sample = _kind(transformers, config, task, label)
        fresh = chosen.start == "random" or chosen.head == "new"
        network: Any = auto.from_config(config, dtype=torch.float32) if fresh else None
        if chosen.start == "weights":
            network = _load(auto, path, config, network)
    network = network.eval()
    keep_file_names(network)
    network.register_forward_pre_hook(takes, with_kwargs=True)
    network.register_forward_hook(_give_logits)
    require_logits(network, sample, task, label)
    return network


LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched, and no code that a checkpoint brings is run."""


def require_directory(path: str) -> None:
    """Say what is missing before a library says something about a hub."""
    if not (Path(path) / "config.json").is_file():
        raise CheckpointError(
            f"{path} is not a directory of transformers: it has no config.json. Download the model "
            "first, or save one with save_pretrained, and name its directory."
        )


def _kind(transformers: Any, config: Any, task: Task, label: str) -> tuple[Any, Any, Tensor]:
    """The class to open it with, the hook for its inputs, and a sample of them."""
    if type(config) in transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        return transformers.AutoModelForImageClassification, take_images, task.image()
    if type(config) in transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        return transformers.AutoModelForSequenceClassification, _take_text, task.text()
    raise StockpotError(
        f"{label}: transformers has no image or text classifier of the type '{config.model_type}'."
    )


def _load(auto: Any, path: str, config: Any, fresh: Any) -> Any:
    """With the stored weights, and outside the body those of `fresh` where there is one."""
    network, info = auto.from_pretrained(
        path,
        config=config,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # they are listed, and judged here
        output_loading_info=True,
        **LOCAL,
    )
    body = f"{network.base_model_prefix}."
    outside = [name for name in network.state_dict() if fresh and not name.startswith(body)]
    wrong = sorted({*info["missing_keys"], *(one[0] for one in info["mismatched_keys"])})
    wrong = [name for name in wrong if name not in outside]
    extra = [name for name in sorted(info["unexpected_keys"]) if not fresh]
    if wrong or extra:
        raise CheckpointError(
            f"{path} does not fit {type(network).__name__} with {config.num_labels} classes: "
            f"missing or of another shape: {_some(wrong)}; not in the network: {_some(extra)}. "
            "Where only the head differs, set head: new."
        )
    if fresh:
        state = fresh.state_dict()
        network.load_state_dict({name: state[name] for name in outside}, strict=False)
        unused = _some(sorted(info["unexpected_keys"]))
        said = f"{path}: new: {_some(outside)}; in the file, not used: {unused}"
        log.info("%s", visible(said, keep=""))
    return network


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + rest if names else "none"


def take_images(_network: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The one positional argument under transformers' name for images."""
    return (), {"pixel_values": inputs[0], **named}


def _take_text(_network: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    ids_NT, mask_NT = inputs[0].unbind(1)
    return (), {"input_ids": ids_NT, "attention_mask": mask_NT, **named}


def _give_logits(_network: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Tensor:
    return output.logits


@contextmanager
def quiet(transformers: Any) -> Generator[None]:
    """No bars and no reports of transformers inside the block: what matters is raised or logged."""
    words = transformers.utils.logging
    verbosity, bars = words.get_verbosity(), words.is_progress_bar_enabled()
    words.set_verbosity_error()
    words.disable_progress_bar()
    try:
        yield
    finally:
        words.set_verbosity(verbosity)
        if bars:
            words.enable_progress_bar()


@contextmanager
def refusals(label: str) -> Generator[None]:
    """What transformers raises about a directory, in one type and with the directory's name."""
    try:
        yield
    except StockpotError:
        raise
    except Exception as error:  # KeyError, OSError, ValueError, RuntimeError, SafetensorError ...
        raise CheckpointError(f"{label} cannot be opened: {error}") from error
