"""Texts and their labels in csv files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Le

from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.labels import classes_of, numbered
from ..formats.sources import damaged
from ..formats.tables import columns_of
from ..formats.tokens import tokenise

NAME = "csv-text"
Length = Annotated[int, Ge(2), Le(65536)]
"""Tokens of a text."""


@dataclass(frozen=True, slots=True)
class CsvText(DataReader):
    """Texts as int64 [N, 2, T], token ids over their attention mask, for text classifiers.

    Attributes:
        path: the csv file; what to train on where there are official parts.
        tokenizer: the folder of the model that is to read the texts.
        max_length: T; longer texts are cut, shorter ones padded.
        test: a csv file of the official test part.
        selection: a csv file of the official validation part.
        text: the name of the texts' column.
        label: the name of the labels' column; its values in the training part are the classes.
        domain: the name of the column that says where a text comes from, if there is one.
    """

    path: str
    tokenizer: str
    max_length: Length = 128
    test: str | None = None
    selection: str | None = None
    text: str = "text"
    label: str = "label"
    domain: str | None = None

    def read(self) -> Collection:
        """The set's parts."""
        files = {"train": self.path, "test": self.test, "selection": self.selection}
        columns = (self.text, self.label, *([] if self.domain is None else [self.domain]))
        tables = {
            part: columns_of(NAME, Path(file).expanduser(), columns)
            for part, file in files.items()
            if file is not None
        }
        classes = classes_of(tables["train"][self.label])
        origins = (
            []
            if self.domain is None
            else [one for table in tables.values() for one in table[self.domain]]
        )
        domains = classes_of(origins)
        parts: dict[str, Dataset] = {}
        for part, table in tables.items():
            if not table[self.text]:
                raise damaged(NAME, str(files[part]), "has no row")
            data = texts(
                NAME, table[self.text], table[self.label], classes, self.tokenizer, self.max_length
            )
            if self.domain is not None:
                origin = numbered(NAME, table[self.domain], domains)
                data = replace(data, domains=domains, domain=origin)
            parts[part] = data
        return Collection(**parts)


def texts(
    name: str,
    texts_N: Sequence[str],
    labels_N: Sequence[str],
    classes: tuple[str, ...],
    tokenizer: str,
    max_length: int,
) -> Dataset:
    """Texts and their labels as a data set."""
    labels = numbered(name, labels_N, classes)
    inputs = tokenise(name, texts_N, tokenizer, max_length)
    return Dataset(name, inputs, labels, len(classes), torch.arange(len(labels)), classes)
