"""Emoji as Google and Twitter draw them: the same classes in two domains.

Shapes: N drawings, L labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from ...checkpoints.formats.untrusted import shown
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.labels import classes_of, flags, numbered
from ..formats.pictures import Channels, Size, read_images
from ..formats.sources import absent, damaged, folder_at
from ..formats.tables import plain, read_json

VENDORS = ("google", "twitter")
NOT_A_CATEGORY = "Component"
"""Skin tones and hair as such, which are parts of other emoji."""

COMMON = 20
"""How many emoji a subcategory needs to be a label of its own in the task of several labels."""


@dataclass(frozen=True, slots=True)
class _Emoji:
    category: str
    subcategory: str
    image: str
    toned: bool
    drawn_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Emoji(DataReader):
    """About 1,900 emoji per vendor; no official parts.

    `labels: category` is one of nine: activities, flags, food, objects and so on. `labels: multi`
    gives each emoji several labels that emoji.json states: its category, its subcategory where at
    least 20 emoji share it, and whether it comes in skin tones.

    The drawings of one emoji by both vendors have one number in `originals`, so no split tears them
    apart, and `domain` says whose a drawing is.

    Attributes:
        path: folder(s) of the unpacked packages emoji-datasource-google and -twitter, or a folder
            that holds them, such as node_modules.
        vendor: whose drawings.
        size: pixels along a side; they are drawn at 64, on white here.
        labels: one category, or several labels.
        channels: 3 for colour, 1 for grey.

    Source: npm emoji-datasource-google (Noto, Apache-2.0) and -twitter (Twemoji, CC-BY 4.0).
    """

    path: str | tuple[str, ...]
    vendor: Literal["google", "twitter", "both"] = "both"
    size: Size = 32
    labels: Literal["category", "multi"] = "category"
    channels: Channels = 3

    def read(self) -> Collection:
        """The set's parts."""
        vendors = VENDORS if self.vendor == "both" else (self.vendor,)
        packages = list(_packages((self.path,) if isinstance(self.path, str) else self.path))
        homes = {one: _home(one, packages) for one in vendors}
        known = list(_emoji(homes[vendors[0]]))
        if not known:
            raise damaged("emoji", homes[vendors[0]] / "emoji.json", "lists no emoji of a category")
        drawn = [
            (number, place, homes[one] / "img" / one / "64" / item.image)
            for place, one in enumerate(vendors)
            for number, item in enumerate(known)
            if one in item.drawn_by
        ]
        inputs = read_images(
            "emoji", [file for _, _, file in drawn], size=self.size, channels=self.channels
        )
        classes, of_each = _labels(known, self.labels)
        numbers = torch.tensor([number for number, _, _ in drawn])
        domain = torch.tensor([place for _, place, _ in drawn])
        return Collection(
            Dataset(
                "emoji", inputs, of_each[numbers], len(classes), numbers, classes, vendors, domain
            )
        )


def _packages(paths: Sequence[str]) -> Iterator[Path]:
    """Every package among, or right below, the folders given."""
    for path in paths:
        folder = folder_at("emoji", path)
        modules = folder / "node_modules"
        inside = [*folder.glob("emoji-datasource*"), *modules.glob("emoji-datasource*")]
        for one in (folder, *sorted(inside)):
            yield from (here for here in (one, one / "package") if (here / "emoji.json").is_file())


def _home(vendor: str, packages: Sequence[Path]) -> Path:
    for package in packages:
        if (package / "img" / vendor / "64").is_dir():
            return package
    raise absent("emoji", f"a package with emoji.json and img/{vendor}/64")


def _emoji(package: Path) -> Iterator[_Emoji]:
    path = package / "emoji.json"
    entries = read_json("emoji", path)
    if not isinstance(entries, list):
        raise damaged("emoji", path, "is no list of emoji")
    for entry in cast(list[Any], entries):
        match entry:
            case {"category": str(category), "subcategory": str(sub), "image": str(image)}:
                facts = cast(Mapping[str, object], entry)
            case _:
                why = f"has an entry without category, subcategory and image: {shown(entry)}"
                raise damaged("emoji", path, why)
        drawn_by = tuple(one for one in VENDORS if facts.get(f"has_img_{one}") is True)
        if category != NOT_A_CATEGORY:
            image = plain("emoji", path, image)
            yield _Emoji(category, sub, image, "skin_variations" in facts, drawn_by)


def _labels(known: Sequence[_Emoji], labels: str) -> tuple[tuple[str, ...], Tensor]:
    categories = classes_of(item.category for item in known)
    if labels == "category":
        return categories, numbered("emoji", [item.category for item in known], categories)
    counts = Counter(item.subcategory for item in known)
    common = tuple(sorted(one for one, count in counts.items() if count >= COMMON))
    stated = [
        [item.category]
        + [item.subcategory] * (item.subcategory in common)
        + ["skin-tones"] * item.toned
        for item in known
    ]
    classes = (*categories, *common, "skin-tones")
    return classes, flags("emoji", stated, classes)
