"""What is known of a finished round, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...ops.distribution import Scope
from .messages import Dropped, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round.

    Attributes:
        number: from 1; 0 is the start.
        participants: the clients that were asked.
        dropped: those of them whose answer does not count, and why.
        note: why the global model stayed as it was, where it did.
        sent_down, sent_up: bytes of tensors and scopes from the server, and to it, in learning.
        scopes: fused over the replies that count; of the initial model at the start.
        scores: of every client after the round, on its own test samples.
    """

    number: int
    participants: tuple[int, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    note: str = ""
    sent_down: int = 0
    sent_up: int = 0
    scopes: Mapping[str, Scope]
    scores: tuple[Score, ...] = ()

    @property
    def accuracy(self) -> float:
        """Over all clients' test samples together; NaN without any."""
        count = sum(one.count for one in self.scores)
        return sum(one.right for one in self.scores) / count if count else float("nan")

    @property
    def by_client(self) -> dict[int, float]:
        """Accuracy of each client that has test samples."""
        return {one.client: one.right / one.count for one in self.scores if one.count}

    def as_dict(self) -> dict[str, Any]:
        """In plain values; `round_from` reads it back."""
        return asdict(self) | {
            "participants": list(self.participants),
            "dropped": [asdict(one) for one in self.dropped],
            "scopes": {name: list(one) for name, one in self.scopes.items()},
            "scores": [asdict(one) for one in self.scores],
        }


def round_from(plain: Mapping[str, Any]) -> Round:
    """What `Round.as_dict` gave."""
    listed: dict[str, Any] = {
        "participants": tuple(plain["participants"]),
        "dropped": tuple(Dropped(**one) for one in plain["dropped"]),
        "scopes": {name: Scope(*one) for name, one in plain["scopes"].items()},
        "scores": tuple(Score(**one) for one in plain["scores"]),
    }
    return Round(**{**plain, **listed})
