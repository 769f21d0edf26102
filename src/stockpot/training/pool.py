"""A pool of ingredients, trained one after another, scored and kept."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..data import Dataset
from ..evaluation import accuracy, predict
from ..networks import Network, save_weights
from .ingredient import Ingredient

PoolProgress = Callable[[str, float], None]
"""Called with the network in work and the fraction of the whole that is done."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A trained ingredient, the file that it is kept in, and its score on the selection split."""

    name: str
    network: Network
    path: Path
    selection_accuracy: float


def train_pool(
    ingredients: Sequence[Ingredient],
    starts: Sequence[Network],
    data: Dataset,
    *,
    selection: Dataset,
    folder: Path,
    origin: Mapping[str, object],
    progress: PoolProgress | None = None,
) -> list[Kept]:
    """Train each ingredient from its start, score it on the selection split, and keep it.

    The same start for all makes fine-tunes of one base, which can be merged; starts of their own
    make strangers, which cannot.

    Args:
        ingredients: what each is fitted to, and how.
        starts: the network that each begins from; left as it is.
        data: the training split.
        selection: what the score in the file comes from.
        folder: where `NAME.safetensors` goes; its metadata entry `stockpot.ingredient` is one JSON
            object with name, task, how, selection_accuracy, and what `origin` says.
        origin: of the network, the data and the starts, for that entry.
        progress: called after each epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool: list[Kept] = []
    for ingredient, start in zip(ingredients, starts, strict=True):

        def tell(part: float, name: str = ingredient.name, done: int = len(pool)) -> None:
            if progress:
                progress(name, (done + part) / len(ingredients))

        network = ingredient.train(start, data, progress=tell)
        score = accuracy(predict(network, selection))
        path = folder / f"{ingredient.name}.safetensors"
        record = _record(ingredient) | {"selection_accuracy": score} | dict(origin)
        save_weights(network, path, {"stockpot.ingredient": json.dumps(record)})
        pool.append(Kept(ingredient.name, network, path, score))
    return pool


def _record(ingredient: Ingredient) -> dict[str, object]:
    return {
        "name": ingredient.name,
        "task": repr(ingredient.task) if ingredient.task else "as they are",
        "how": asdict(ingredient.how),
    }
