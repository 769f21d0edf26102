"""Data sets of the Hugging Face library: saved to disk, or as local parquet files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ...checkpoints.formats.untrusted import listed, shown
from ...errors import FieldError, StockpotError
from ...libraries import optional
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.labels import classes_of, flags, numbered
from ..formats.pictures import Channels, Size, read_images
from ..formats.sources import absent, damaged
from ..formats.tokens import tokenise
from .csv_text import Length

NAME = "hugging-face"
PARTS = {
    "train": "train",
    "validation": "selection",
    "valid": "selection",
    "val": "selection",
    "test": "test",
}
SPLIT = re.compile(rf"(?:^|[-_./])({'|'.join(PARTS)})(?=[-_./]|$)")


@dataclass(frozen=True, slots=True)
class HuggingFace(DataReader):
    """Images, or texts where `text` is given, with their official parts; nothing is downloaded.

    A label column of class labels keeps their names; other values are sorted. A column of lists
    of class labels is a task of several labels.

    Attributes:
        path: a folder that save_to_disk wrote, a .parquet file, or a folder of such files, whose
            part is told by train, validation or test in their names, as on the hub.
        image: the name of the images' column.
        label: the name of the labels' column.
        text: the name of the texts' column, for a text task; needs tokenizer.
        tokenizer: the folder of the model that is to read the texts.
        max_length: tokens of a text; longer ones are cut, shorter ones padded.
        size: pixels along a side; without, all images must have one size.
        channels: 1 for grey, 3 for colour.
    """

    path: str
    image: str = "image"
    label: str = "label"
    text: str | None = None
    tokenizer: str | None = None
    max_length: Length = 128
    size: Size | None = None
    channels: Channels = 3

    def check(self) -> None:
        """Refuse what does not go together."""
        if (self.text is None) != (self.tokenizer is None):
            raise FieldError("text and tokenizer go together; one is missing.")

    def read(self) -> Collection:
        """The set's parts."""
        tables = _tables(Path(self.path).expanduser())
        classes = _classes(tables["train"], self.label)
        parts: dict[str, Dataset] = {}
        for part, table in tables.items():
            labels = _labels(table, self.label, classes)
            if self.text is not None and self.tokenizer is not None:
                inputs = tokenise(
                    NAME,
                    [str(one) for one in _column(table, self.text)],
                    self.tokenizer,
                    self.max_length,
                )
            else:
                inputs = read_images(
                    NAME, _pictures(table, self.image), size=self.size, channels=self.channels
                )
            originals = torch.arange(len(labels))
            parts[part] = Dataset(NAME, inputs, labels, len(classes), originals, classes)
        return Collection(**parts)


def _tables(path: Path) -> Mapping[str, Any]:
    """The library's own data set for each part."""
    datasets = optional("datasets", "hf")
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not path.exists():
        raise absent(NAME, path)
    if files:
        return {part: _parquet(some) for part, some in _by_part(path, files).items()}
    try:
        found = datasets.load_from_disk(str(path))
    except FileNotFoundError:
        raise absent(NAME, f"a data set in {path}") from None
    except Exception as error:  # the library raises whatever its files make of it
        raise damaged(NAME, path, f"is no data set to read ({str(error)[:120]})") from None
    several = isinstance(found, datasets.DatasetDict)
    return _known(path, found) if several else {"train": found}


def _known(path: Path, found: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = [one for one in found if one not in PARTS]
    if unknown or "train" not in found:
        raise StockpotError(
            f"data '{NAME}': {path} has the splits {listed(found)}; they must be train and, if "
            "there are, validation and test. Save it with those names."
        )
    return {PARTS[name]: table for name, table in found.items()}


def _by_part(path: Path, files: Sequence[Path]) -> Mapping[str, list[Path]]:
    parts: dict[str, list[Path]] = {}
    for file in files:
        named = SPLIT.findall(file.relative_to(path).as_posix()) if path.is_dir() else []
        parts.setdefault(PARTS[named[-1]] if named else "", []).append(file)
    if list(parts) == [""]:
        return {"train": parts[""]}
    if "" in parts or "train" not in parts:
        raise StockpotError(
            f"data '{NAME}': the files of {path} must all be named for train, validation or test, "
            f"or none; got {listed(file.name for file in files)}."
        )
    return parts


def _parquet(files: Sequence[Path]) -> Any:
    datasets, arrow = optional("datasets", "hf"), optional("pyarrow", "hf")
    reader = optional("pyarrow.parquet", "hf")
    try:
        return datasets.Dataset(arrow.concat_tables([reader.read_table(one) for one in files]))
    except (arrow.ArrowException, OSError, ValueError) as error:
        why = f"is no parquet to read ({str(error)[:120]})"
        raise damaged(NAME, listed(map(str, files)), why) from None


def _column(table: Any, name: str) -> list[Any]:
    if name not in table.features:
        raise StockpotError(
            f"data '{NAME}': no column '{name[:80]}'; there are {listed(table.features)}."
        )
    return list(table[name])


def _classes(table: Any, label: str) -> tuple[str, ...]:
    values = _column(table, label)
    kind = table.features[label]
    names = getattr(kind, "names", None) or getattr(getattr(kind, "feature", None), "names", None)
    if names:
        return tuple(map(str, names))
    if not values or any(type(one) not in (str, int, bool) for one in values):
        raise StockpotError(
            f"data '{NAME}': the labels of column '{label}' must be class labels, lists of class "
            f"labels, words or whole numbers; got {shown(values[0] if values else None)}."
        )
    return classes_of(map(str, values))


def _labels(table: Any, label: str, classes: tuple[str, ...]) -> Tensor:
    values, kind = _column(table, label), table.features[label]
    if getattr(getattr(kind, "feature", None), "names", None):
        lists = cast(list[Iterable[int]], values)
        return flags(NAME, [[_name(one, classes) for one in held] for held in lists], classes)
    named = [_name(one, classes) for one in values] if getattr(kind, "names", None) else values
    return numbered(NAME, [str(one) for one in named], classes)


def _name(value: object, classes: Sequence[str]) -> str:
    """A class label's name; -1 and None stand for a label that was not published."""
    if type(value) is not int or not 0 <= value < len(classes):
        raise StockpotError(
            f"data '{NAME}': a label is {shown(value)}, not in [0, {len(classes)}): that part's "
            "labels may not be published."
        )
    return classes[value]


def _pictures(table: Any, image: str) -> list[Path | bytes]:
    _column(table.select([]), image)
    datasets = optional("datasets", "hf")
    if isinstance(table.features[image], datasets.Image):
        table = table.cast_column(image, datasets.Image(decode=False))
    return [_picture(one, image) for one in _column(table, image)]


def _picture(value: object, image: str) -> Path | bytes:
    match value:
        case bytes(content) | {"bytes": bytes(content)}:
            return content
        case {"path": str(path)} if Path(path).is_file():
            return Path(path)
        case _:
            raise StockpotError(
                f"data '{NAME}': column '{image}' must hold image files; got {shown(value)}."
            )
