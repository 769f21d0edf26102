"""What lies beside the weights of the models: whether it agrees, and what the output gets of it.

Tensors alone do not say what network they are. A difference that makes the same rows, heads or
classes mean other things is refused by name; one that only shifts what the network does is told.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from ..checkpoints.beside.agreement import Written, agreeing, within_rows
from ..checkpoints.beside.config import (
    CONFIG,
    Disagreement,
    compare_configs,
    differing,
    read_config,
    read_object,
)
from ..checkpoints.beside.files import SmallFiles, small_files, survey
from ..checkpoints.beside.groups import Origins, as_json, has_template, origins, template_text
from ..checkpoints.beside.modules import compare_modules
from ..checkpoints.beside.names import Group
from ..checkpoints.beside.rows import clashes, differences
from ..checkpoints.beside.ties import KEY as TIES
from ..checkpoints.beside.tokens import Vocabulary, vocabularies
from ..checkpoints.beside.vocabulary import input_rows, token_tensors
from ..checkpoints.entry import Checkpoint
from ..checkpoints.roles import Role
from ..errors import FieldError, MergeError
from .reading.recipe import Recipe
from .resolving.assignment import Assignment, prevailing_dtype

_CLASSIFIER = re.compile(
    r"(.*\.)?(\w*classifier\w*|score|fc|head|heads|out_proj|logits\w*|cls)\.\w+"
)

ALLOW = "--allow-different-configs"
GENERATION = "generation_config.json"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What was found beside the weights of the models of a merge.

    Attributes:
        origins: which model gives the output which small files.
        notes: what the user should know, in sentences.
    """

    origins: Origins
    notes: tuple[str, ...]


def meaning_of(
    recipe: Recipe,
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    tensors: Sequence[Assignment],
    *,
    with_files: bool,
    untied: Sequence[str] = (),
) -> Meaning:
    """Compare what lies beside the models, and decide which of it the output gets.

    Args:
        recipe: what is merged with what.
        models, base: its open checkpoints.
        tensors: what each output tensor is made of.
        with_files: whether small files will be written: not beside a single file.
        untied: heads that some of the configurations tie and the output does not.

    Raises:
        CheckpointError: a small file cannot be read, or is a git-lfs pointer.
        MergeError: the same tensors are other networks, and the recipe does not allow it.
    """
    every = {id(one): small_files(one) for one in (*models, *([] if base is None else [base]))}
    refuse_pointers(list(every.values()))
    read = {entry.owner for a in tensors for entry in a.entries}
    used = [one for one in (*models, *([] if base is None else [base])) if one.label in read]
    members = list({c.label: every[id(c)] for c in used}.values())
    donor = _only(recipe, models, base, every)
    compared = members if donor is None or donor in members else [*members, donor]
    found = [*_configs(compared), *compare_modules(compared)]
    found = [_pardoned(one, tensors) for one in found]
    words = vocabularies(compared)
    notes = list(_judged(found, _clashes(used, words, tensors), recipe, tensors))
    if not with_files:
        notes += differing("the configurations", [o for o in found if not o.forbids])
        return Meaning(Origins(), tuple(notes))
    order, skipped = _candidates(recipe, models, base, every)
    source = _embedding_of(used, tensors)
    chosen = origins(order, skipped, tokenizer=source and every[id(source)], only=donor)
    checkpoints = {every[id(one)].label: one for one in used}
    chosen, agreed = _agreed(chosen, checkpoints, compared, written_of(tensors, untied))
    if any(one.forbids for one in found) and Group.CONFIGURATION in chosen.donors:
        donor_label = chosen.donors[Group.CONFIGURATION].label
        notes = [_with(text, "configuration", donor_label) for text in notes]
    notes += _differences(found, compared, words, chosen)
    return Meaning(chosen, (*notes, *chosen.notes, *agreed))


def refuse_pointers(every: Sequence[SmallFiles]) -> None:
    """Refuse small files that git did not fetch.

    Raises:
        MergeError: naming them.
    """
    for one in every:
        if one.pointers:
            names = ", ".join(one.pointers)
            raise MergeError(
                f"{one.label}: {names} {'is' if len(one.pointers) == 1 else 'are'} no more than "
                "a git-lfs pointer: run `git lfs pull` there."
            )


def _configs(members: Sequence[SmallFiles]) -> tuple[Disagreement, ...]:
    said = [(one.label, read_config(one)) for one in members]
    return compare_configs([(label, config) for label, config in said if config is not None])


def _pardoned(one: Disagreement, tensors: Sequence[Assignment]) -> Disagreement:
    """Classes may differ where no tensor with a row for each is merged."""
    if one.key.rpartition(".")[2] != "id2label" or _class_tensors(one, tensors):
        return one
    return replace(one, forbids=False)


def _clashes(
    used: Sequence[Checkpoint],
    words: Mapping[str, Vocabulary],
    tensors: Sequence[Assignment],
) -> list[str]:
    """Rows that the models whose rows are merged use for different tokens, in words."""
    shapes = {a.name: a.shape for a in tensors}
    rows = frozenset(token_tensors(shapes))
    merged = [a for a in tensors if a.name in rows and len(_owners(a, used)) > 1]
    apart = {id(_owners(a, used)[0]) for a in tensors if a.name in rows and a not in merged}
    owners = {id(one): one for a in merged for one in _owners(a, used)}
    if not merged and len(apart) > 1:
        owners = {id(one): one for one in used if id(one) in apart}
    known = [(c.label, words[c.label]) for c in owners.values() if c.label in words]
    return [str(one) for one in clashes(known, input_rows(shapes))]


def _owners(assignment: Assignment, used: Sequence[Checkpoint]) -> list[Checkpoint]:
    read = {entry.owner for entry in assignment.entries}
    return [checkpoint for checkpoint in used if checkpoint.label in read]


def _judged(
    found: Sequence[Disagreement],
    tokens: Sequence[str],
    recipe: Recipe,
    tensors: Sequence[Assignment],
) -> Iterator[str]:
    forbidden = [str(one) for one in found if one.forbids]
    said = [*forbidden, *tokens]
    if not said:
        return
    what = "; ".join(said)
    if recipe.allow_different_configs:
        yield f"merged though the same tensors mean different things: {what}."
        return
    names = token_tensors({a.name: a.shape for a in tensors})
    copies = " ".join(f"--copy '{name}={recipe.models[0].path}'" for name in names)
    way = (
        f"take these tensors from one model ({copies}), or " if tokens and not forbidden else "or "
    )
    raise MergeError(
        "the models have the same tensors, but not the same meaning of them: "
        f"{what}. Merge models that agree, {way}pass {ALLOW} (in a recipe, "
        "allow_different_configs: true)."
    )


def _only(
    recipe: Recipe,
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    every: Mapping[int, SmallFiles],
) -> SmallFiles | None:
    """The model that the user has named for all small files: of the merge, or a folder."""
    name = recipe.output.files_from
    if name is None:
        return None
    try:
        which = recipe.copied_model(name, "output.files_from")
    except FieldError:
        if Path(str(name)).is_dir():
            one = survey(Path(str(name)), str(name))
            refuse_pointers([one])
            return one
        raise
    member = base if which == "base" else models[which]
    assert member is not None
    return every[id(member)]


def _candidates(
    recipe: Recipe,
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    every: Mapping[int, SmallFiles],
) -> tuple[list[SmallFiles], list[SmallFiles]]:
    """The models in the order in which they are asked for small files, and those that are not."""
    weights = recipe.weights or (1.0,) * len(models)
    first, skipped = dict[int, SmallFiles](), dict[int, SmallFiles]()
    for one, weight in zip(models, weights, strict=True):
        if base is None or not is_same(one, base):
            (first if weight > 0 else skipped)[id(one)] = every[id(one)]
    if base is not None:
        first[id(base)] = every[id(base)]
    return list(first.values()), list(skipped.values())


def is_same(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints are read from the same files."""
    places = [sorted(os.path.realpath(file.path) for file in c.files) for c in (one, other)]
    return one is other or (places[0] == places[1] != [])


def _embedding_of(used: Sequence[Checkpoint], tensors: Sequence[Assignment]) -> Checkpoint | None:
    """The one model whose rows the output has for its tokens, where they are not merged."""
    rows = frozenset(token_tensors({a.name: a.shape for a in tensors}))
    own = [_owners(a, used) for a in tensors if a.name in rows]
    owners = {id(one): one for each in own for one in each}
    return next(iter(owners.values())) if len(owners) == 1 else None


def _agreed(
    chosen: Origins,
    checkpoints: Mapping[str, Checkpoint],
    compared: Collection[SmallFiles],
    written: Written,
) -> tuple[Origins, tuple[str, ...]]:
    """With a configuration and generation settings that agree with the tensors."""
    made, notes = dict(chosen.made), tuple[str, ...]()
    donor = chosen.donors.get(Group.CONFIGURATION)
    config = None if donor is None else read_config(donor)
    if donor is not None and config is not None:
        of = _shapes(checkpoints.get(donor.label))
        others = {
            one.label: (there, _shapes(checkpoints.get(one.label)))
            for one in compared
            if (there := read_config(one)) is not None
        }
        agreed, notes = agreeing(config, of, written, others)
        if agreed != config:
            made[CONFIG] = as_json(agreed)
    speaker = chosen.donors.get(Group.TEMPLATE)
    said = None if speaker is None else read_object(speaker, GENERATION)
    rows = input_rows(written.shapes)
    if speaker is not None and said is not None and rows is not None:
        old = input_rows(_shapes(checkpoints.get(speaker.label)))
        kept, lost = within_rows(said, rows) if old is not None and old > rows else (said, ())
        if lost:
            made[GENERATION] = as_json(kept)
            notes += (f"{GENERATION}: {', '.join(lost)} left out: the output has no such row.",)
    return replace(chosen, made=made), notes


def written_of(tensors: Sequence[Assignment], untied: Sequence[str] = ()) -> Written:
    """What the weights will be."""
    return Written(
        shapes={a.name: a.shape for a in tensors},
        dtype=prevailing_dtype(tensors),
        tied=frozenset(a.name for a in tensors if a.role is Role.TIED_ALIAS),
        untied=frozenset(untied),
    )


def _shapes(checkpoint: Checkpoint | None) -> dict[str, tuple[int, ...]]:
    return {} if checkpoint is None else {n: e.shape for n, e in checkpoint.entries.items()}


def _differences(
    found: Sequence[Disagreement],
    compared: Sequence[SmallFiles],
    words: Mapping[str, Vocabulary],
    chosen: Origins,
) -> Iterator[str]:
    """What differs without forbidding the merge, a sentence for each group."""
    donors = {group: one.label for group, one in chosen.donors.items()}
    shifts = [one for one in found if not one.forbids and one.key != TIES]
    for text in differing("the configurations", shifts):
        yield _with(text, "configuration", donors.get(Group.CONFIGURATION))
    yield from (f"{one}." for one in found if one.key == TIES)
    if unlike := list(dict.fromkeys(differences(list(words.items())))):
        text = f"the tokenizers differ: {'; '.join(unlike[:6])}."
        yield _with(text, "tokenizer", donors.get(Group.TOKENIZER))
    templates = [one for one in compared if has_template(one)]
    if len({template_text(one) for one in templates}) > 1:
        names = ", ".join(one.label for one in templates)
        text = f"the chat templates of {names} differ."
        yield _with(text, "chat template", donors.get(Group.TEMPLATE))
    said = [(one.label, read_object(one, GENERATION)) for one in compared]
    settings = compare_configs([(label, one) for label, one in said if one is not None])
    for text in differing("generation settings", settings):
        yield _with(text, "settings", donors.get(Group.TEMPLATE))


def _with(text: str, what: str, donor: str | None) -> str:
    return text if donor is None else f"{text} The output has the {what} of {donor}."


def _class_tensors(labels: Disagreement, tensors: Sequence[Assignment]) -> list[str]:
    """Those that are merged of several models, with a row for each of the classes' names."""
    counts = {len(cast(tuple[str, ...], names)) for _, names in labels.values}
    return [
        a.name
        for a in tensors
        if a.method is not None
        and a.shape[:1]
        and a.shape[0] in counts
        and _CLASSIFIER.search(a.name)
    ]
