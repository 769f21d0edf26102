"""Leading eigenvectors of a Gram matrix, certified, without the others.

A Chebyshev filter in float32 finds the subspace; what it lacks is solved for in float32 and added
in float64, so that errors are relative to the eigenvalue at the cut and not to the largest.

Legend: N rows and columns, P vectors that are filtered, Q those that are refined, K kept.
"""

import math
from dataclasses import dataclass
from typing import Literal

from ...lazy import Tensor, torch
from ...typed import cholesky, eigh, has_cholesky, orthonormal, solve_lower

_EPS = 2.0**-23
_AIM = 9e-6
"""A bound at which refinement ends."""
_STEPS = 3
_FAR = 5e4
"""How much the filter favours the last direction kept over those outside."""
_NEAR = 2e-6
_TURNS = 9
"""What a correction aims at, in so many turns at most."""
_FLAT = 1.15
"""Where a product favours the last direction by less, all eigenvectors are cheaper."""
_HIDDEN = 1e-8
"""Eigenvalues below this share of the largest are rounding in float32."""

Certified = Literal["matrix", "directions"]
"""What an error is bounded of: the matrix that directions make, or all of them alike."""


@dataclass(frozen=True, slots=True)
class Leading:
    """The first K eigenvectors.

    Attributes:
        vectors: [N, K], orthonormal, float64.
        values: [K], descending.
        bound: at least |A W Wᵀ - A_k| / |A_k| for these vectors W of G = AᵀA, Frobenius norms; or
            the root mean square of what each vector lacks, and its A w / |A w|.
    """

    vectors: Tensor
    values: Tensor
    bound: float


def fits(kept: int, size: int) -> bool:
    """Whether finding so many of the eigenvectors is less work than finding all."""
    return _refined(kept) <= 0.3 * size


def _refined(kept: int) -> int:
    return kept + max(16, kept // 4)


def leading(gram_NN: Tensor, kept: int, certify: Certified = "matrix") -> Leading | None:
    """The first `kept` eigenvectors of a float64 Gram matrix, [N, N]; None where they are too close
    to the next ones to be told apart at little cost.

    What is certified is the error of the matrix that they make, in which weak directions count for
    little, or that of all directions alike.

    Each round: Ritz vectors W, θ and residuals R = G W - W θ in float64; a level between θ_k and
    θ_Q, of which a Cholesky factorisation shows that it bounds G outside of W; and a correction C
    outside of W with (θ_i - G) c_i = r_i, from Chebyshev's iteration in float32.

    Cost: some 12 products of G with 1.5 K vectors and 5 with 1.25 K in float32, 2 in float64; N³/6
    multiplications for each factorisation. Most spectra need one round.
    """
    rough = _filtered(gram_NN, kept)
    if rough is None:
        return None
    ritz, bound = _residuals(gram_NN, *rough), math.inf
    for _ in range(_STEPS):
        level = float(ritz.values[kept - 1] + 3 * ritz.values[-1]) / 4
        rest_NN = _outside(gram_NN, ritz, level)
        change_NQ = _correction(rest_NN, ritz, level, _shares(ritz, kept, certify))
        outside = _beyond(ritz, change_NQ, level) if _is_below_one(rest_NN) else math.inf
        ritz = _rayleigh_ritz(gram_NN, change_NQ.add_(ritz.vectors))
        bound = _certified(ritz, _shares(ritz, kept, certify), outside)
        if bound <= _AIM:
            break
    return Leading(ritz.vectors[:, :kept], ritz.values[:kept], bound)


def _filtered(gram_NN: Tensor, kept: int) -> tuple[Tensor, Tensor] | None:
    """The first Q Ritz vectors and values of P, in float32, from Chebyshev polynomials on [0, θ_P].

    The degree of a round is bounded by what orthonormalisation can take apart again, of columns
    that are nearly Ritz vectors, in their order.
    """
    size = len(gram_NN)
    wide = min(kept + max(24, kept // 2), size)
    gram_NN = gram_NN.to(torch.float32)
    drawn_NP = torch.randn(size, wide, generator=torch.Generator().manual_seed(0))
    block_NP = gram_NN @ drawn_NP.to(gram_NN.device)
    done = 0
    while True:
        basis_NP = orthonormal(block_NP)
        image_NP = gram_NN @ basis_NP
        values_P, turn_PP = eigh(basis_NP.mT @ image_NP)
        first, last, level = (float(values_P[i]) for i in (0, kept - 1, -1))
        if level <= _HIDDEN * first or _growth(last / level) < _FLAT:
            return None
        growth = _growth(last / level)
        left = math.log(_FAR) / math.log(growth) - done
        if left <= 0:
            chosen = slice(0, _refined(kept))
            return basis_NP @ turn_PP[:, chosen], values_P[chosen]
        if not done:
            basis_NP, image_NP = basis_NP @ turn_PP, image_NP @ turn_PP
        most = math.log(1e11) / math.log(4 * first / (level * growth))
        degree = max(1, min(5, int(most), math.ceil(left)))
        block_NP = _chebyshev(gram_NN, basis_NP, image_NP, level, degree)
        done += degree


def _growth(ratio: float) -> float:
    """What each degree of a Chebyshev polynomial on [0, 1] is multiplied by at `ratio` > 1."""
    at = max(2 * ratio - 1, 1.0)
    return at + math.sqrt(at * at - 1)


def _chebyshev(
    gram_NN: Tensor, block_NP: Tensor, image_NP: Tensor, level: float, degree: int
) -> Tensor:
    """T_d(2 G / level - 1) X, given X and G X."""
    before_NP, now_NP = block_NP, image_NP.mul_(2 / level).sub_(block_NP)
    for _ in range(degree - 1):
        start_NP = before_NP.add_(now_NP, alpha=2)
        before_NP, now_NP = (
            now_NP,
            torch.addmm(start_NP, gram_NN, now_NP, beta=-1, alpha=4 / level),
        )
    return now_NP


@dataclass(frozen=True, slots=True)
class _Ritz:
    """Vectors [N, Q], values, descending, and residuals G W - W θ outside of the vectors."""

    vectors: Tensor
    values: Tensor
    residuals: Tensor


def _shares(ritz: _Ritz, kept: int, certify: Certified) -> Tensor:
    """How much the error of each of the first K directions counts, squared: θ_i, or θ_k for all."""
    values_K = ritz.values[:kept]
    return values_K if certify == "matrix" else values_K[-1].expand(kept)


def _residuals(gram_NN: Tensor, block_NQ: Tensor, values_Q: Tensor) -> _Ritz:
    """Of vectors that are orthonormal in float32."""
    block_NQ = block_NQ.double()
    image_NQ = gram_NN @ block_NQ
    image_NQ.sub_(block_NQ @ (block_NQ.mT @ image_NQ))
    return _Ritz(block_NQ, values_Q.double(), image_NQ)


def _rayleigh_ritz(gram_NN: Tensor, block_NQ: Tensor) -> _Ritz:
    """Of the span of nearly orthonormal columns."""
    image_NQ = gram_NN @ block_NQ
    lower_QQ = cholesky(block_NQ.mT @ block_NQ)
    half_QQ = solve_lower(lower_QQ, block_NQ.mT @ image_NQ)
    inner_QQ = solve_lower(lower_QQ, half_QQ.mT)
    values_Q, turn_QQ = eigh((inner_QQ + inner_QQ.mT) / 2)
    turn_QQ = solve_lower(lower_QQ, turn_QQ, transposed=True)
    vectors_NQ = block_NQ @ turn_QQ
    return _Ritz(vectors_NQ, values_Q, (image_NQ @ turn_QQ).sub_(vectors_NQ * values_Q))


def _outside(gram_NN: Tensor, ritz: _Ritz, level: float) -> Tensor:
    """`(1 - W Wᵀ) G (1 - W Wᵀ) / level`, float32: W θ Wᵀ, W Rᵀ and R Wᵀ are what is taken away.

    In float64 for the values far above the level, of which float32 would leave rounding errors.
    """
    left_NQ, right_QN = ritz.residuals + ritz.vectors * (ritz.values / 2), ritz.vectors.mT
    steep = int((ritz.values > 64 * level).sum())
    half_NN = left_NQ[:, :steep] @ right_QN[:steep]
    rest_NN = (gram_NN - half_NN).sub_(half_NN.mT).div_(level).to(torch.float32)
    left_NJ = (left_NQ[:, steep:] / level).to(torch.float32)
    half_NN = left_NJ @ right_QN[steep:].to(torch.float32)
    return rest_NN.sub_(half_NN).sub_(half_NN.mT)


def _beyond(ritz: _Ritz, change_NQ: Tensor, level: float) -> float:
    """A bound on G outside of W + C, where `level` is one outside of W.

    A unit vector y outside of W + C has components a = -Cᵀ y along W, so that
    yᵀ G y <= level + 2 |R| |a| + Σ θ_i a_i².
    """
    lengths_Q = (change_NQ * change_NQ).sum(0)
    missing = (ritz.residuals * ritz.residuals).sum().sqrt()
    turned = (ritz.values * lengths_Q).sum() + 2 * missing * lengths_Q.sum().sqrt()
    return level + float(turned)


def _is_below_one(rest_NN: Tensor) -> bool:
    """Whether all eigenvalues are: what is left to one has a Cholesky factor.

    Rounding of N terms in float32 is allowed for.
    """
    left_NN = rest_NN.neg()
    left_NN.diagonal().add_(1 - len(rest_NN) * _EPS)
    return has_cholesky(left_NN)


def _correction(rest_NN: Tensor, ritz: _Ritz, level: float, shares_K: Tensor) -> Tensor:
    """C with `(θ_i - G) c_i = r_i` outside of the Ritz vectors, [N, Q], nearly.

    Chebyshev's iteration for a spectrum in [θ_i - level, θ_i], scaled by the level; where θ_i is
    hardly above it, for one that is. It ends when the error that is left is small, to first order.
    """
    above_Q = (ritz.values / level).to(torch.float32).clamp(min=1.02)
    left_NQ = (ritz.residuals / level).to(torch.float32)
    middle_Q = 2 * above_Q - 1
    step_NQ = left_NQ * (2 / middle_Q)
    found_NQ, ratio_Q = step_NQ, 1 / middle_Q
    kept, shares_K = len(shares_K), (shares_K / level).to(torch.float32)
    allowed = (_NEAR * (float(above_Q[kept - 1]) - 1)) ** 2 * float(shares_K.sum())
    for _ in range(_TURNS):
        left_NQ = left_NQ - (step_NQ * above_Q - rest_NN @ step_NQ)
        next_Q = 1 / (2 * middle_Q - ratio_Q)
        step_NQ = step_NQ * (next_Q * ratio_Q) + left_NQ * (4 * next_Q)
        found_NQ, ratio_Q = found_NQ + step_NQ, next_Q
        kept_NK = left_NQ[:, :kept]
        if float((kept_NK * kept_NK).sum(0) @ shares_K) <= allowed:
            break
    return found_NQ.double()


def _certified(ritz: _Ritz, shares_K: Tensor, outside: float) -> float:
    """A bound on |A W Wᵀ - A_k| / |A_k| for the first k Ritz vectors W of AᵀA = G in a subspace.

    With r_i = G w_i - θ_i w_i, which is orthogonal to the subspace; h_j = θ_k - θ_j the gaps to the
    other Ritz values, and g = θ_k - outside - Σ_j |r_j|²/h_j the gap to what is outside when these
    have taken their part, true vectors have components of at most |R x| / g outside and
    sqrt(Σ_j |r_j|²/h_j²) times that within, so that

        |A W Wᵀ - A_k| <= (sqrt(Σ θ_i |r_i|²) + σ_{k+1} |R_k|) (1 + sqrt(Σ_j |r_j|²/h_j²)) / g.

    Gaps within count in second order only, which is why the subspace is larger than k. With θ_k in
    place of θ_i the sum is that over all directions alike, of length 1.

    Args:
        ritz: of the subspace, whose outside has eigenvalues of at most `outside`.
        shares_K: θ_i for the error of the matrix, θ_k for that of directions.
        outside: infinite where nothing is known.
    """
    values_Q, kept = ritz.values, len(shares_K)
    lengths_Q = (ritz.residuals * ritz.residuals).sum(0)
    gaps_J, lengths_J = values_Q[kept - 1] - values_Q[kept:], lengths_Q[kept:]
    gap = float(values_Q[kept - 1] - (lengths_J / gaps_J).sum()) - outside
    if not (gap > 0 and float(gaps_J[0]) > 0):
        return math.inf
    within = math.sqrt(float((lengths_J / gaps_J**2).sum()))
    weighted = math.sqrt(float((shares_K * lengths_Q[:kept]).sum()))
    plain = math.sqrt(float(values_Q[kept] * lengths_Q[:kept].sum()))
    size = math.sqrt(float(shares_K.sum()))
    missed = (weighted + plain) * (1 + within) / (gap * size)
    noise = 4 * torch.finfo(torch.float64).eps * len(ritz.vectors) * float(values_Q[0])
    return missed + by_gaps(values_Q, shares_K, noise)


def by_gaps(squares_R: Tensor, shares_K: Tensor, noise: float) -> float:
    """The error that a perturbation of the Gram matrix by `noise` makes, relative, first order."""
    kept = len(shares_K)
    if kept == len(squares_R):
        return 0.0
    first_out = float(squares_R[kept])
    turned_K = (noise / (squares_R[:kept] - first_out).clamp(min=noise)) ** 2
    weighted = math.sqrt(float((shares_K * turned_K).sum()))
    plain = math.sqrt(first_out * float(turned_K.sum()))
    return (weighted + plain) / math.sqrt(float(shares_K.sum()))
