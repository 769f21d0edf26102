"""Names of tensors as a checkpoint has them, where a library's modules are named otherwise."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from ...libraries import optional

log = logging.getLogger(__name__)


def keep_file_names(network: nn.Module) -> None:
    """Let the state dict of a transformers model have the names of the library's files.

    Since version 5 transformers renames while it reads and writes, so that, for example,
    `vit.layers.0.attention.v_proj` stands for `vit.encoder.layer.0.attention.attention.value` of a
    file. A network whose tensors are also cut or joined on the way keeps its modules' names.
    """
    state: dict[str, Tensor] = network.state_dict()
    stored = optional("transformers.core_model_loading", "hf").revert_weight_conversion(
        network, state
    )
    modules = {id(tensor): name for name, tensor in state.items()}
    if {id(tensor) for tensor in stored.values()} != modules.keys():
        log.warning(
            "%s: files and modules differ in more than names; the state dict has the modules'.",
            type(network).__name__,
        )
        return
    files = {modules[id(tensor)]: name for name, tensor in stored.items()}
    if any(module != file for module, file in files.items()):
        hooked = cast(Any, network)  # torch leaves these two untyped
        hooked.register_state_dict_post_hook(_Renaming(files))
        back = {file: module for module, file in files.items()}
        hooked.register_load_state_dict_pre_hook(_Renaming(back))


class _Renaming:
    """A hook of state_dict or load_state_dict; a value, so that copies and pickles have it."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)

    def __call__(
        self, _network: nn.Module, state: dict[str, Tensor], prefix: str, *_more: object
    ) -> None:
        before = dict(state)
        state.clear()  # all first: a new name may be another tensor's old one
        for name, tensor in before.items():
            short = name.removeprefix(prefix)
            state[prefix + self.names[short] if short in self.names else name] = tensor
