"""Ensembles from predictions that are already there.

Shapes: M members, N samples, L classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..errors import StockpotError
from .predictions import Predictions


def logits_ensemble(members: Sequence[Predictions]) -> Predictions:
    """Mean of the members' logits; it costs every member's evaluations for each sample.

    One member's output that is not finite makes the ensemble's so, and therefore wrong. Members
    with large logits weigh more than others.

    Raises:
        StockpotError: without members, or where they have not seen the same samples.
    """
    if not members:
        raise StockpotError("An ensemble needs at least one member.")
    first = members[0]
    for member in members:
        if not torch.equal(member.originals, first.originals) or not torch.equal(
            member.labels, first.labels
        ):
            raise StockpotError("The members of an ensemble must have seen the same samples.")
    return replace(
        first,
        logits=torch.stack([member.logits for member in members]).mean(dim=0),
        forwards=sum(member.forwards for member in members),
    )
