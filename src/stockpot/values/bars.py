"""A progress bar for whoever asks for one with `progress="bar"`, in a notebook or a terminal."""

from typing import Any, Literal

from ..libraries import optional
from .result import Progress

Bar = Literal["bar"]
"""In place of a callback."""


def bar_for(progress: Progress | Bar | None) -> Progress | None:
    """The callback; in place of "bar" one that shows a bar of tqdm's until all is behind.

    Raises:
        ExtraError: tqdm is needed and not installed.
    """
    if progress != "bar":
        return progress
    bar: Any = optional("tqdm.auto", "notebook").tqdm(
        total=100, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    )

    def show(what: str, done: float) -> None:
        bar.set_description_str(what, refresh=False)
        bar.update(100 * done - bar.n)
        if done >= 1:
            bar.close()

    return show
