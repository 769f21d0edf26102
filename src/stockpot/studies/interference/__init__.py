"""Interference: whether the row spaces of task vectors get in each other's way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ...methods.matrices import Conv, Stored, Which
from ...values.fields import Fraction
from ..study import StudyOfModels

if TYPE_CHECKING:
    from .result import InterferenceResult as InterferenceResult

RANKS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
"""The grid: CART's 8% in its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interference(StudyOfModels["InterferenceResult"]):
    """How far task vectors get in each other's way, and what low rank leaves out (CART).

    τ_t = θ_t - centre = U_t S_t V_tᵀ, the centre the models' average, and with a base that too;
    V~_t its first k right singular vectors, S~_t the first k singular values over |τ_t|:

        I(k) = Σ_i Σ_{j≠i} |S~_i V~_i V~_jᵀ S~_j|        R(k) = Σ_i |τ_i - SVD_k(τ_i)|²

    CART's claim is that I is lower around the average than around the base at every k, that R falls
    steeply at low k and I rises slowly, so that a small k is best. Of two models the centred task
    vectors are opposite, and share one row space.

    Args:
        ranks: fractions of the full rank. The largest says how much is decomposed; effective ranks
            need 1.
        tensors: which matrices, as cart has it.
        conv: whether convolutions are matrices too.
        qkv: query, key and value that are stored as one, or split.
        sample: look at so many matrices only, evenly over the network.

    Called with two checkpoints or more that have the same tensors, one for each task.

    Raises:
        FieldError: fewer than two models.
        MergeError: the models do not fit together, or one matrix does not fit in memory.
        NonFiniteError: a model holds NaN or infinity.

    Cost: one decomposition for each matrix, task and centre; every model is read twice for the
        average and once for the base. Memory: a few matrices, and the right singular vectors of all
        tasks, for one matrix at a time and worker.
    Deviations: the paper's text has |(S~_i V~_i)ᵀ (S~_j V~_j)| with directions as rows. Taken so,
        the product pairs direction r of one task with direction r of the other and its norm does
        not depend on the angles; the k x k product above is 0 exactly where row spaces are
        orthogonal. How singular values are normalised is not said; here by the Frobenius norm of
        the whole task vector, so that a pair's share lies in [0, 1] whatever the lengths.

    Source: Choi et al., 2024, arXiv 2412.12153.
    """

    ranks: tuple[Fraction, ...] = RANKS
    tensors: Which = "auto"
    conv: Conv = "average"
    qkv: Stored = "stored"
    sample: Annotated[int, Ge(1)] | None = None
