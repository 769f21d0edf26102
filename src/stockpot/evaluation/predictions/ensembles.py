"""Ensembles from predictions that are already there: no network is run again.

With one member, and with copies of one, each is that member; the mean of logits to the last bit.
One member's output that is not finite makes the ensemble's so, and therefore wrong; in an ensemble
of features it is the features that must be finite.

Shapes: M members, N samples, L classes, F features.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...engine.merge import merge
from ...errors import StockpotError
from ...methods import Average
from ...ops.means import affine
from .predict import Predictions, in_batches


def logits_ensemble(members: Sequence[Predictions]) -> Predictions:
    """Mean of the members' logits; it costs every member's evaluations for each sample.

    Members with large logits weigh more than others: see `temperature_ensemble`.

    Raises:
        StockpotError: without members, or where they have not seen the same samples.
    """
    _refuse_different_samples(members)
    return _joined(members, _mean([member.logits for member in members]))


def weighted_logits(members: Sequence[Predictions], counts: Mapping[int, int]) -> Predictions:
    """Mean of logits in which member `i` counts `counts[i]` times, at its cost of one evaluation.

    Raises:
        StockpotError: as `logits_ensemble`.
    """
    chosen = [members[i] for i in counts]
    _refuse_different_samples(chosen)
    total = sum(counts.values())
    shares = [count / total for count in counts.values()]
    return _joined(chosen, affine([member.logits for member in chosen], shares))


def probabilities_ensemble(members: Sequence[Predictions]) -> Predictions:
    """Mean of the members' probabilities, kept as scores whose softmax it is: log (1/M) Σ_m p_m.

    Where a sample may have several classes the probabilities are sigmoids, and the scores are the
    log-odds of their mean.

    Raises:
        StockpotError: as `logits_ensemble`.
    """
    _refuse_different_samples(members)
    stacked_MNL = torch.stack([member.logits for member in members])
    if members[0].is_multilabel:
        yes, no = F.logsigmoid(stacked_MNL), F.logsigmoid(-stacked_MNL)
        scores_NL = yes.logsumexp(dim=0) - no.logsumexp(dim=0)
    else:
        log_p_MNL = stacked_MNL.log_softmax(dim=2)
        scores_NL = log_p_MNL.logsumexp(dim=0) - math.log(len(members))
        # Where every member is so sure that a class has log 0, the output is finite all the same.
        scores_NL.clamp_(min=torch.finfo(scores_NL.dtype).min)
    # A sum of probabilities would forget an infinite logit.
    finite_N1 = stacked_MNL.isfinite().all(dim=2).all(dim=0)[:, None]
    return _joined(members, torch.where(finite_N1, scores_NL, torch.nan))


def temperature_ensemble(
    members: Sequence[Predictions], temperatures: Sequence[float]
) -> Predictions:
    """Mean of logits, each member's divided by its own temperature first: (1/M) Σ_m z_m / T_m.

    The temperatures come from the selection split (`losses.fit_temperature`), so that a member
    with large logits does not decide alone.

    Raises:
        StockpotError: as `logits_ensemble`.
    """
    _refuse_different_samples(members)
    scaled = [one.logits / t for one, t in zip(members, temperatures, strict=True)]
    return _joined(members, _mean(scaled))


def features_ensemble(
    members: Sequence[Predictions], head: Callable[[Tensor], Tensor]
) -> Predictions:
    """Mean of the members' features, through one head: h((1/M) Σ_m f_m).

    With the average of the members' heads this is the paper's Ens Features, with the first member's
    Ens Features* (arXiv 2411.09263). It costs every member's evaluation of its body.

    Raises:
        StockpotError: as `logits_ensemble`; or where a member's features were not kept.
    """
    _refuse_different_samples(members)
    features = [member.features for member in members]
    kept = [one for one in features if one is not None]
    if len(kept) < len(features):
        raise StockpotError(
            "A features ensemble needs the members' features: run them with a known head."
        )
    return _joined(members, in_batches(head, _mean(kept)))


def average_head(heads: Sequence[nn.Module]) -> nn.Module:
    """A head whose weights are the average of the heads', in evaluation mode."""
    head = copy.deepcopy(heads[0])
    head.load_state_dict(merge(heads, Average()))
    return head.eval()


def _mean(values: Sequence[Tensor]) -> Tensor:
    """As differences from the first, so that copies of one tensor give it back to the last bit."""
    return affine(values, [1 / len(values)] * len(values))


def _joined(members: Sequence[Predictions], scores_NL: Tensor) -> Predictions:
    cost = sum(member.forwards for member in members)
    return replace(members[0], logits=scores_NL, forwards=cost, features=None)


def _refuse_different_samples(members: Sequence[Predictions]) -> None:
    if not members:
        raise StockpotError("An ensemble needs at least one member.")
    first = members[0]
    for member in members:
        if not torch.equal(member.originals, first.originals) or not torch.equal(
            member.labels, first.labels
        ):
            raise StockpotError("The members of an ensemble must have seen the same samples.")
