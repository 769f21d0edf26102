"""ChestX-ray14: radiographs with fourteen findings, grouped by patient.

Shapes: N images, L findings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import StockpotError
from ...typed import to_numpy
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.labels import classes_of, flags, numbered
from ..formats.pictures import Channels, Size, read_images
from ..formats.sources import absent, damaged, file_in, folder_at
from ..formats.tables import columns_of, lines_of, plain

NAME = "chestx-ray14"
NONE = "No Finding"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)


@dataclass(frozen=True, slots=True)
class ChestxRay14(DataReader):
    """86,524 radiographs to train and choose on, 25,596 to test on; fourteen labels, or none.

    `originals` is the patient, so no patient is in two splits and intervals resample patients.

    Attributes:
        path: the folder of Data_Entry_2017.csv, train_val_list.txt, test_list.txt and the images,
            in images/ or images_001/images/ and so on.
        size: pixels along a side; they are published at 1024.
        channels: 3 repeats the grey in three channels, for networks trained on colour.

    Source: X. Wang, Y. Peng, L. Lu, Z. Lu, M. Bagheri, R. Summers, ChestX-ray8, CVPR 2017.
    """

    path: str
    size: Size = 224
    channels: Channels = 3

    def read(self) -> Collection:
        """The set's parts."""
        folder = folder_at(NAME, self.path)
        table = file_in(NAME, folder, "Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
        columns = columns_of(NAME, table, ("Image Index", "Finding Labels", "Patient ID"))
        entries = {
            plain(NAME, table, image): (found, patient)
            for image, found, patient in zip(*columns.values(), strict=True)
        }
        patients = classes_of(columns["Patient ID"])
        where = {file.name: file for file in sorted(folder.glob("images*/**/*.png"))}
        parts: list[Dataset] = []
        for name in ("train_val_list.txt", "test_list.txt"):
            files = lines_of(NAME, file_in(NAME, folder, name))
            _check_listed(files, entries, where, folder / name)
            rows = [entries[file] for file in files]
            found = [[one for one in labels.split("|") if one != NONE] for labels, _ in rows]
            images = read_images(
                NAME, [where[one] for one in files], size=self.size, channels=self.channels
            )
            originals = numbered(NAME, [patient for _, patient in rows], patients)
            labels_NL = flags(NAME, found, FINDINGS)
            parts.append(Dataset(NAME, images, labels_NL, len(FINDINGS), originals, FINDINGS))
        first, second = (to_numpy(part.originals) for part in parts)
        shared = len(np.intersect1d(first, second))
        if shared:
            raise StockpotError(
                f"data '{NAME}': {shared} patient(s) are in both lists of {folder}, which the "
                "official ones keep apart: download the lists again."
            )
        return Collection(*parts)


def _check_listed(
    files: list[str], entries: dict[str, tuple[str, str]], where: dict[str, Path], path: Path
) -> None:
    unknown = [one for one in files if one not in entries]
    if unknown or not files:
        why = f"lists {unknown[0][:80]}, which the csv does not have" if unknown else "is empty"
        raise damaged(NAME, path, why)
    missing = [one for one in files if one not in where]
    if missing:
        raise absent(
            NAME, f"the image {missing[0]} ({len(missing)} of {len(files)} in {path.name})"
        )
