"""Which model gives the output which small files: in groups, each whole from one model."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from .code import CONFIGURATIONS, TOKENIZERS, code_of
from .config import read_object
from .files import SmallFiles
from .names import Group, group_of
from .tokens import Vocabulary, read_vocabulary

TOKENIZER_CONFIG = "tokenizer_config.json"
EMBEDDED = "chat_template"
"""The key of tokenizer_config.json in which older versions keep the chat template."""
TEMPLATE_FILE = "chat_template.jinja"
_NETWORK = re.compile(r"((open_clip_|model_)?config|params)\.(json|ya?ml)")
"""Files that say what the network is."""
_OF_A_TOKENIZER = re.compile(
    r"tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|.*py"
)
"""Files that are no tokenizer without its vocabulary."""
_TOKEN = re.compile(r"<\|[^\s<>|]{1,40}\|>|<(?:start|end)_of_turn>|\[/?INST\]")


@dataclass(frozen=True, slots=True)
class Origins:
    """Where each group of an output's small files comes from.

    Attributes:
        donors: the model by group; a group that no model has is left out.
        files: the file's group by its name; each is read beside that group's donor.
        made: files whose content is no copy, by name.
        notes: what the user should know, in sentences.
    """

    donors: Mapping[Group, SmallFiles] = field(default_factory=dict[Group, SmallFiles])
    files: Mapping[str, Group] = field(default_factory=dict[str, Group])
    made: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    notes: tuple[str, ...] = ()

    def contents(self) -> dict[str, bytes]:
        """Every file by its name."""
        read = {name: self.donors[group].read(name) for name, group in self.files.items()}
        return read | dict(self.made)


def files_of(one: SmallFiles, group: Group) -> tuple[str, ...]:
    """The files of a group beside a model; of Python files those that its configuration names."""
    names = [n for n in one.sizes if not n.endswith(".py") and group_of(n) is group]
    if group is Group.CONFIGURATION:
        names += code_of(one, CONFIGURATIONS)
    if group is Group.TOKENIZER:
        names += code_of(one, TOKENIZERS)
    return tuple(names)


def has(one: SmallFiles, group: Group) -> bool:
    """Whether a model has what the group is for."""
    if group is Group.TEMPLATE:
        return has_template(one)
    if group is Group.CONFIGURATION:
        return any(map(_NETWORK.fullmatch, one.sizes))
    return any(not _OF_A_TOKENIZER.fullmatch(name) for name in files_of(one, group))


def has_template(one: SmallFiles) -> bool:
    """Whether a model has a chat template, in a file or in its tokenizer's configuration."""
    files = [name for name in files_of(one, Group.TEMPLATE) if name != "generation_config.json"]
    return bool(files) or embedded_template(one) is not None


def embedded_template(one: SmallFiles) -> object | None:
    """The chat template that tokenizer_config.json holds: a text, or several with their names."""
    return (read_object(one, TOKENIZER_CONFIG) or {}).get(EMBEDDED)


def origins(
    candidates: Sequence[SmallFiles],
    skipped: Sequence[SmallFiles] = (),
    *,
    tokenizer: SmallFiles | None = None,
    only: SmallFiles | None = None,
) -> Origins:
    """Decide where each group comes from.

    Args:
        candidates: the models in the order in which they are asked: those of positive weight other
            than the base, then the base.
        skipped: the others, which are asked for what no network can do without.
        tokenizer: the model whose embedding the output has, where it is that of one model.
        only: the model that gives everything, where the user has named one.
    """
    donors = dict[Group, SmallFiles]()
    for group in Group:
        own = [tokenizer] if group is Group.TOKENIZER and tokenizer is not None else []
        last = skipped if group is not Group.TEMPLATE else ()
        asked = [only] if only is not None else [*own, *candidates, *last]
        first = next((one for one in asked if has(one, group)), None)
        if first is None:  # no model has a template: generation_config.json alone
            first = next((one for one in asked if files_of(one, group)), None)
        if first is not None:
            donors[group] = first
    refused = _unspoken(donors)
    if refused is not None:
        donors[Group.TEMPLATE] = donors[Group.TOKENIZER]
    files = dict[str, Group]()
    for group in (Group.TEMPLATE, Group.TOKENIZER, Group.CONFIGURATION):
        if group in donors:
            files |= dict.fromkeys(files_of(donors[group], group), group)
    made = _template_of_another(donors)
    notes = tuple(_notes(candidates, donors, files, refused, only))
    return Origins(donors, dict(sorted(files.items())), made, notes)


def _unspoken(donors: Mapping[Group, SmallFiles]) -> tuple[SmallFiles, str] | None:
    """A template's donor, and a special token of it that the output's tokenizer does not have."""
    template, tokenizer = donors.get(Group.TEMPLATE), donors.get(Group.TOKENIZER)
    if template is None or tokenizer is None or template is tokenizer:
        return None
    there = read_vocabulary(tokenizer)
    if there is None or not has_template(template):
        return None
    text = template_text(template)
    own = read_vocabulary(template)
    spoken = _spoken(text, own)
    lacking = next((token for token in spoken if token not in there.rows), None)
    return None if lacking is None else (template, lacking)


def template_text(one: SmallFiles) -> str:
    """Everything that the chat templates of a model say."""
    files = [n for n in files_of(one, Group.TEMPLATE) if n.endswith((".jinja", "template.json"))]
    texts = [one.read(name).decode(errors="replace") for name in files]
    inside = embedded_template(one)
    return "\n".join(
        [*texts, *([] if inside is None else [json.dumps(inside, ensure_ascii=False)])]
    )


def _spoken(text: str, own: Vocabulary | None) -> list[str]:
    """Special tokens in the text of a template, in the order of their rows."""
    if own is None:
        return list(dict.fromkeys(_TOKEN.findall(text)))
    return sorted((t for t in own.special if t and t in text), key=lambda token: own.rows[token])


def _template_of_another(donors: Mapping[Group, SmallFiles]) -> dict[str, bytes]:
    """What is written where template and tokenizer come from two models, one inside a file.

    The template inside the tokenizer's configuration goes, and the other's gets a file of its own.
    """
    template, tokenizer = donors.get(Group.TEMPLATE), donors.get(Group.TOKENIZER)
    if template is tokenizer or template is None:
        return {}
    made = dict[str, bytes]()
    if tokenizer is not None and embedded_template(tokenizer) is not None:
        said = {
            key: value
            for key, value in (read_object(tokenizer, TOKENIZER_CONFIG) or {}).items()
            if key != EMBEDDED
        }
        made[TOKENIZER_CONFIG] = as_json(said)
    inside = embedded_template(template)
    if isinstance(inside, str) and TEMPLATE_FILE not in template:
        made[TEMPLATE_FILE] = inside.encode()
    elif isinstance(inside, list) and TEMPLATE_FILE not in template:
        for each in cast(list[Mapping[str, str]], inside):
            name, text = str(each.get("name")), str(each.get("template"))
            if name == "default":
                made[TEMPLATE_FILE] = text.encode()
            elif re.fullmatch(r"[\w-]{1,80}", name):
                made[f"additional_chat_templates/{name}.jinja"] = text.encode()
    return made


def as_json(content: Mapping[str, object]) -> bytes:
    """JSON as the hubs' libraries write it."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _notes(
    candidates: Sequence[SmallFiles],
    donors: Mapping[Group, SmallFiles],
    files: Mapping[str, Group],
    refused: tuple[SmallFiles, str] | None,
    only: SmallFiles | None,
) -> Iterator[str]:
    labels = {str(group): one.label for group, one in donors.items()}
    usual = candidates[0].label if candidates else ""
    if only is not None:
        lacking = [str(group) for group in Group if group not in donors]
        if lacking:
            yield f"{only.label} has no {' and no '.join(lacking)}: the output has none."
    elif any(label != usual for label in labels.values()):
        by = dict[str, list[str]]()
        for group, label in labels.items():
            by.setdefault(label, []).append(group)
        each = [f"the {_and(groups)} of {label}" for label, groups in by.items()]
        yield f"the output has {_and(each)}."
    elif candidates and Group.CONFIGURATION not in donors and files:
        yield "no model has a config.json: the output has none."
    if refused is not None:
        template, token = refused
        yield (
            f"the chat template of {template.label} was not taken: the output's tokenizer, that of "
            f"{donors[Group.TOKENIZER].label}, lacks its token '{token}'. "
            f"--files-from {template.label} takes both."
        )
    if code := [name for name in files if name.endswith(".py")]:
        yield (
            f"code was copied, and not run: {', '.join(code)}. Read it before the output is loaded "
            "with trust_remote_code."
        )
    for one in dict.fromkeys(donors.values()):
        yield from one.left


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
