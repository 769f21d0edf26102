"""To which group a small file belongs, told by its name."""

import re
from enum import StrEnum


class Group(StrEnum):
    """Files that are of no use unless they are all of one model."""

    CONFIGURATION = "configuration"
    TOKENIZER = "tokenizer"
    TEMPLATE = "chat template"


TOKENIZER = re.compile(
    r"tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json"
    r"|(target_)?vocab(-\w+|_\w+)?\.(json|txt|bpe|model)|merges(_\w+)?\.txt|bpe\.codes|encoder\.json"
    r"|tekken\.json|dict\.txt|normalizer\.json|.*\.(model|spm|tiktoken|vocab|codes|v3|v7)"
    r"|(encoder_|decoder_|source_|target_)?tokenizer[\w-]*\.json"
)
TEMPLATE = re.compile(r"generation_config\.json|chat_template\.json|.*\.jinja")


def is_tokenizer(name: str) -> bool:
    """Whether a file holds a part of a tokenizer."""
    return TOKENIZER.fullmatch(name) is not None


def group_of(name: str) -> Group:
    """The group of a file by its name within the model's folder.

    Example:
        >>> [str(group_of(name)) for name in ("spiece.model", "chat_template.jinja", "NOTICE")]
        ['tokenizer', 'chat template', 'configuration']
    """
    if is_tokenizer(name):
        return Group.TOKENIZER
    return Group.TEMPLATE if TEMPLATE.fullmatch(name) else Group.CONFIGURATION
