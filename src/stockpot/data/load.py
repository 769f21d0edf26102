"""A data set from its name: `load`."""

from collections.abc import Callable, Mapping

from ..checkpoints.formats.untrusted import shown
from ..errors import FieldError
from ..values.fields import nearest
from ..values.from_plain_data import read_arguments
from .collection import Collection
from .formats.sources import SOURCES
from .readers import (
    celeba,
    chestx_ray14,
    cifar_10,
    cifar_100,
    csv_text,
    emoji,
    fashion_mnist,
    hugging_face,
    image_folder,
    medmnist,
    mnist,
    mnist_5k,
    tiny_imagenet,
)
from .readers.bundled import digits
from .readers.custom import from_function

Spec = str | Mapping[str, object]


def _digits() -> Collection:
    return Collection(digits())


READERS: Mapping[str, Callable[..., Collection]] = {
    "digits": _digits,
    "fashion-mnist": fashion_mnist,
    "mnist": mnist,
    "mnist-5k": mnist_5k,
    "emoji": emoji,
    "cifar-10": cifar_10,
    "cifar-100": cifar_100,
    "tiny-imagenet": tiny_imagenet,
    "celeba": celeba,
    "chestx-ray14": chestx_ray14,
    "medmnist": medmnist,
    "image-folder": image_folder,
    "hugging-face": hugging_face,
    "csv-text": csv_text,
}
"""What `load` knows by name."""


def load(spec: Spec) -> Collection:
    """A data set with its official parts.

    Args:
        spec: a name of READERS, a mapping of `name` and the reader's own options (`path` first of
            all), or "package.module:function" (as a name, its options are passed on).

    Raises:
        FieldError: for an unknown name or option.
        StockpotError: where the set is not there or not what it should be; the text says where it
            comes from.
        ExtraError: where a package is missing; the text names the install line.

    >>> load("digits").train.num_classes
    10
    """
    options = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise FieldError(f"data needs a name, one of {', '.join(READERS)}; got {shown(name)}.")
    if ":" in name:
        return from_function(name, options)
    if name not in READERS:
        raise FieldError(
            f"there is no data set '{name[:80]}'{nearest(name, READERS, most=40)} Or give "
            "package.module:function."
        )
    reader = READERS[name]
    try:
        arguments = read_arguments(reader, options, f"data '{name}'")
    except FieldError as error:
        source = f" {SOURCES[name]}" if name in SOURCES and "path" not in options else ""
        raise FieldError(f"{error}{source}") from None
    return reader(**arguments)
