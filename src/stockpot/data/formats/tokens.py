"""Texts as token ids.

Shapes: N texts, T tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...errors import StockpotError
from ...libraries import optional


def tokenise(name: str, texts: Sequence[str], tokenizer: str, max_length: int) -> Tensor:
    """Token ids over their attention mask, int64 [N, 2, T] with T = max_length.

    Longer texts are cut, shorter ones padded. Nothing is downloaded and no code of the tokenizer's
    folder is run.

    Args:
        name: the data set, for messages.
        texts: what to encode.
        tokenizer: a folder that transformers' save_pretrained wrote, or a model's own folder.
        max_length: T.

    Raises:
        StockpotError: where the folder holds no tokenizer, or one that cannot pad.
        ExtraError: without transformers.
    """
    transformers = optional("transformers", "hf")
    folder = Path(tokenizer).expanduser()
    if not folder.is_dir():
        raise StockpotError(
            f"data '{name}': the tokenizer folder {folder} is not there: give the folder of the "
            "model that is to read the texts."
        )
    try:
        encoder = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the library raises whatever the folder's files make of it
        raise StockpotError(
            f"data '{name}': {folder} holds no tokenizer that transformers reads "
            f"({str(error)[:160]})."
        ) from None
    if encoder.pad_token_id is None:
        raise StockpotError(
            f"data '{name}': the tokenizer of {folder} has no padding token: set one "
            "(pad_token in its tokenizer_config.json)."
        )
    encoded = encoder(
        list(texts),
        padding="max_length",
        truncation=True,
        max_length=max_length,
        return_attention_mask=True,
    )
    return torch.stack(
        [torch.tensor(encoded[key], dtype=torch.int64) for key in ("input_ids", "attention_mask")],
        dim=1,
    )
