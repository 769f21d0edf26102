"""Weights as templates: first layers reshaped to pictures, set against class means, and averaged.

Shapes: N samples, L classes, R templates, C channels, H x W pixels.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...checkpoints.read import read_checkpoint
from ...data import INGREDIENT, Dataset
from ...engine.merge import merge
from ...errors import FieldError
from ...evaluation.predictions.predict import predict
from ...evaluation.scores.bootstrap import over_pools, resamplers_of, share_estimate
from ...experiments.cells import spec_name
from ...libraries import optional
from ...methods import Average
from ...networks.network import parts
from ...running.executor import one_thread
from ...training.jobs.pools import Pool, Trained
from ...typed import to_numpy
from ...values.result import Progress
from ..pools import TrainedPools
from ..samples import SharedRow, shared_rows
from ..weights_features.passes import Step, observe
from . import Templates
from .result import MEASURES, Kind, Pictures, Subject, TemplateRow, TemplatesResult, subject_at

TITLE = "Weights as templates"
SHOWN = 64
"""Units or kernels that are drawn; of classes all are."""
SHOWN_NETWORKS = 3
_STEP = 1024


def compute(
    _study: Templates, trained: TrainedPools, *, progress: Progress | None = None
) -> TemplatesResult:
    """The study of templates; see `Templates`."""
    rows: list[TemplateRow] = []
    pictures: list[Pictures] = []
    drawn: dict[str, list[_Pool]] = {}
    for number, pool in enumerate(trained.pools):
        cell = pool.cell or spec_name(pool.network_spec)
        if progress:
            progress(f"{cell}, pool {pool.seed}", number / len(trained.pools))
        with one_thread():
            studied = _Pool(pool, cell)
            for decay, members in studied.groups():
                rows += studied.rows(decay, members)
            if cell not in drawn:
                pictures += studied.pictures()
        drawn.setdefault(cell, []).append(studied)
    return TemplatesResult(
        title=TITLE,
        cells=tuple(drawn),
        rows=tuple(rows),
        pictures=tuple(pictures),
        facts=_facts(trained),
        shared=tuple(row for cell, pools in drawn.items() for row in _shared(cell, pools)),
    )


def _shared(cell: str, pools: Sequence["_Pool"]) -> Iterator[SharedRow]:
    resamplers = resamplers_of([one.originals for one in pools])
    yield from shared_rows(
        cell,
        {
            of: over_pools(
                [
                    share_estimate(one.right[of], at)
                    for one, at in zip(pools, resamplers, strict=True)
                ]
            )
            for of in pools[0].right
            if all(of in one.right for one in pools)
        },
    )


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a network's templates are."""

    name: str
    kind: Kind
    shape: tuple[int, int, int]

    def of(self, network: nn.Module) -> Tensor:
        """The templates, [R, C, H, W]."""
        weight = cast(Tensor, parts(network)[self.name].weight)
        return weight.detach().cpu().reshape(-1, *self.shape).float()


class _Pool:
    """One pool: its networks by weight decay, and what their templates are set against."""

    def __init__(self, pool: Pool, cell: str) -> None:
        self._pool, self._cell = pool, cell
        self._layer = first_layer(pool.build(), pool.splits.train)
        self._means: tuple[Tensor, Tensor] | None = None
        self.originals = pool.splits.test.originals
        self.right: dict[str, Tensor] = {}
        """Of each kind of network, how right each test sample is, float64 [N]."""
        if self._layer.kind == "classes":
            raw_LCHW = class_means(pool.splits.train)
            self._means = raw_LCHW, raw_LCHW - raw_LCHW.nanmean(dim=0)

    def groups(self) -> list[tuple[float, list[Trained]]]:
        kept = sorted(self._pool.kept, key=_decay)  # the order of members stays: sorts are stable
        return [(decay, list(members)) for decay, members in groupby(kept, _decay)]

    def rows(self, decay: float, members: Sequence[Trained]) -> list[TemplateRow]:
        networks = [one.network for one in members]
        each = [self._layer.of(network) for network in networks]
        rights = [self._right(network) for network in networks]
        self.right[subject_at(decay, "single")] = sum(rights[1:], rights[0]) / len(rights)
        singles = [
            self._row(decay, "single", 1, one, accuracy=float(right_N.mean()))
            for one, right_N in zip(each, rights, strict=True)
        ]
        found = [_mean_row(singles)]
        if len(members) > 1:
            network = self._merged(members)
            average = self._layer.of(network)
            right_N = self._right(network)
            self.right[subject_at(decay, "merged")] = right_N
            accuracy = float(right_N.mean())
            count = len(members)
            found.append(self._row(decay, "merged", count, average, each, accuracy=accuracy))
        if self._means and len(each[0]) > 1:
            found.append(_mean_row([self._pair(decay, one) for one in each]))
        return found

    def pictures(self) -> list[Pictures]:
        data, found = self._pool.splits.train, list[tuple[float | None, str, Tensor]]()
        if self._means:
            found += [(None, "class mean", self._means[0]), (None, "centred mean", self._means[1])]
        for decay, members in self.groups():
            shown = members[: 1 if self._means else SHOWN_NETWORKS]
            for one in shown:
                label = "one network" if self._means else one.name
                found.append((decay, label, self._layer.of(one.network)))
            if len(members) > 1:
                found.append((decay, "merged", self._layer.of(self._merged(members))))
        count = len(found[0][2]) if self._means else SHOWN
        names = data.classes if self._means and data.classes else tuple(map(str, range(count)))
        return [
            Pictures(
                cell=self._cell,
                weight_decay=decay,
                label=label,
                names=names[: len(values)],
                values=to_numpy(values[:count].float()),
            )
            for decay, label, values in found
        ]

    def _merged(self, members: Sequence[Trained]) -> nn.Module:
        network = self._pool.build()
        network.load_state_dict(merge([one.path for one in members], Average()))
        return network

    def _right(self, network: nn.Module) -> Tensor:
        return predict(network, self._pool.splits.test).correct()

    def _pair(self, decay: float, one_LCHW: Tensor) -> TemplateRow:
        """Classes c and c + L/2, as the paper pairs them; of an odd number the last is left out."""
        assert self._means
        half = len(one_LCHW) // 2
        both = [one_LCHW[:half], one_LCHW[half : 2 * half]]
        means = [(m[:half] + m[half : 2 * half]) / 2 for m in self._means]
        return self._row(decay, "pair", 2, (both[0] + both[1]) / 2, both, (means[0], means[1]))

    def _row(
        self,
        decay: float,
        subject: Subject,
        parents: int,
        made: Tensor,
        of: Sequence[Tensor] = (),
        means: tuple[Tensor, Tensor] | None = None,
        accuracy: float = math.nan,
    ) -> TemplateRow:
        against = means or self._means
        ratio, alike, parent = fading(made, of) if of else (math.nan,) * 3
        likeness: dict[str, float] = {}
        if against:
            raw, centred = against
            likeness = {
                "correlation": correlation(made, centred),
                "correlation_raw": correlation(made, raw),
                "ssim": similarity(made, centred),
                "ssim_raw": similarity(made, raw),
                "matched": math.nan if means else matched(made, centred),
            }
        return TemplateRow(
            cell=self._cell,
            seed=self._pool.seed,
            weight_decay=decay,
            subject=subject,
            kind=self._layer.kind,
            parents=parents,
            contrast=mean(contrasts(made)),
            ratio=ratio,
            alike=alike,
            parent=parent,
            accuracy=accuracy,
            **likeness,
        )


def class_means(data: Dataset) -> Tensor:
    """The mean image of each class, float32 [L, C, H, W]; NaN for a class without samples."""
    shape = data.inputs.shape[1:]
    sums = torch.zeros(data.num_classes, math.prod(shape), dtype=torch.float64)
    counts = torch.zeros(data.num_classes, 1, dtype=torch.float64)
    for start in range(0, len(data), _STEP):
        part = slice(start, start + _STEP)
        labels = data.labels[part]
        has_NL = labels if data.is_multilabel else nn.functional.one_hot(labels, data.num_classes)
        sums += has_NL.double().T @ data.batch(part).flatten(1).double()
        counts += has_NL.double().sum(dim=0)[:, None]
    return (sums / counts).reshape(-1, *shape).float()


def first_layer(network: nn.Module, data: Dataset) -> Layer:
    """The first layer with weights that a pass over two samples comes to.

    Raises:
        FieldError: the data are texts, or that layer does not work on pixels.
    """
    if data.is_text:
        raise FieldError(f"data '{data.name}' are texts: templates are pictures of pixels.")
    seen: list[Step] = []
    with torch.no_grad():
        observe(network, data.batch(slice(2)), seen.append)
    layers = [step.name for step in seen if step.kind == "weights"]
    first = parts(network)[layers[0]] if layers else None
    channels, height, width = data.inputs.shape[1:]
    if isinstance(first, nn.Conv2d):
        shape = (first.in_channels // first.groups, *first.kernel_size)
        return Layer(layers[0], "kernels", cast(tuple[int, int, int], shape))
    if isinstance(first, nn.Linear) and first.in_features == channels * height * width:
        alone = len(layers) == 1 and first.out_features == data.num_classes
        return Layer(layers[0], "classes" if alone else "units", (channels, height, width))
    name = type(first).__name__ if first else "no layer with weights"
    raise FieldError(
        f"{type(network).__name__} begins with {name}: templates need a first layer that is a "
        "convolution, or linear on all pixels."
    )


def _decay(one: Trained) -> float:
    """The weight decay that a file says its network was last trained with."""
    text = read_checkpoint(one.path).metadata.get(INGREDIENT, "{}")
    record = cast(dict[str, Any], json.loads(text))
    return float(record["train"]["how"]["weight_decay"])


def _mean_row(rows: Sequence[TemplateRow]) -> TemplateRow:
    """Of several networks of one pool."""
    values = {m: math.fsum(getattr(row, m) for row in rows) / len(rows) for m in MEASURES}
    return replace(rows[0], **values)


def _facts(trained: TrainedPools) -> tuple[tuple[str, str], ...]:
    seeds = dict.fromkeys(str(pool.seed) for pool in trained.pools)
    names = dict.fromkeys(spec_name(pool.data or "") for pool in trained.pools)
    made = trained.experiment.ingredients
    return (
        ("run", str(trained.run)),
        ("data", ", ".join(names)),
        ("ingredients", f"{made.count} of a pool, share: {made.share}"),
        ("pools", f"seeds {', '.join(seeds)}; intervals are 95% over them"),
        ("class means", f"{len(trained.pools[0].splits.train)} training images"),
    )


WINDOW, SMALL_WINDOW, SMALL = 7, 3, 16
"""Sides of SSIM's window, the smaller one for images below 16 pixels."""


def correlations(a_RCHW: Tensor, b_SCHW: Tensor) -> Tensor:
    """Pearson's correlation over pixels of every picture with every other, float64 [R, S].

    NaN where a picture is constant.
    """
    a_RP, b_SP = a_RCHW.flatten(1).double(), b_SCHW.flatten(1).double()
    return torch.corrcoef(torch.cat([a_RP, b_SP]))[: len(a_RP), len(a_RP) :]


def correlation(a_RCHW: Tensor, b_RCHW: Tensor) -> float:
    """The mean over pictures of the correlation of each with its counterpart."""
    return mean(correlations(a_RCHW, b_RCHW).diagonal())


def similarity(a_RCHW: Tensor, b_RCHW: Tensor) -> float:
    """The mean over pictures of SSIM, both brought to mean 1/2 and standard deviation 1/6 of 1.

    SSIM compares luminance, which has no sign: of pictures around 0 it would call a negative alike.
    Brought to one mean and deviation it is structure that counts. Uniform windows of 7 x 7 pixels
    (3 x 3 for images below 16 pixels). Constant pictures are left out.

    Raises:
        ExtraError: without torchmetrics.
    """
    metrics = optional("torchmetrics.functional.image")
    window = SMALL_WINDOW if min(a_RCHW.shape[-2:]) < SMALL else WINDOW
    found: list[float] = []
    a_R1CHW, b_R1CHW = _grey(a_RCHW)[:, None], _grey(b_RCHW)[:, None]
    for a_1CHW, b_1CHW in zip(a_R1CHW, b_R1CHW, strict=True):
        if bool(a_1CHW.isfinite().all()) and bool(b_1CHW.isfinite().all()):
            value = metrics.structural_similarity_index_measure(
                a_1CHW, b_1CHW, gaussian_kernel=False, kernel_size=window, data_range=1.0
            )
            found.append(float(value))
    return math.fsum(found) / len(found) if found else math.nan


def contrasts(a_RCHW: Tensor) -> Tensor:
    """Standard deviation over pixels, float64 [R]."""
    return a_RCHW.flatten(1).double().std(dim=1, correction=0)


def fading(average_RCHW: Tensor, parents: Sequence[Tensor]) -> tuple[float, float, float]:
    """Of averaged pictures: contrast over the parents', likeness of parents, likeness to parents.

    The first is the mean over pictures of std(average) / sqrt(mean_k std(parent_k)²), which is
    sqrt((1 + (n - 1) ρ) / n) for n parents of equal contrast and correlation ρ.
    """
    squares = torch.stack([contrasts(one).square() for one in parents]).mean(0)
    alike = [correlation(a, b) for a, b in combinations(parents, 2)]
    to_parents = [correlation(average_RCHW, one) for one in parents]
    return (
        mean(contrasts(average_RCHW) / squares.sqrt()),
        math.fsum(alike) / len(alike) if alike else math.nan,
        math.fsum(to_parents) / len(to_parents),
    )


def matched(templates_RCHW: Tensor, means_RCHW: Tensor) -> float:
    """Share of templates that correlate more with their own mean than with any other.

    A constant template correlates with none, and counts as one that does not.
    """
    own = torch.arange(len(templates_RCHW))
    found_RR = correlations(templates_RCHW, means_RCHW)
    some_R = (~found_RR.isnan()).any(dim=1)
    best_R = found_RR.nan_to_num(-2).argmax(dim=1)
    return float((some_R & (best_R == own)).double().mean())


def mean(values: Tensor) -> float:
    """Of those that are numbers."""
    there = values[~values.isnan()]
    return float(there.mean()) if len(there) else math.nan


def _grey(a_RCHW: Tensor) -> Tensor:
    flat_RP = a_RCHW.flatten(1).double()
    middle_R1, width_R1 = flat_RP.mean(dim=1, keepdim=True), contrasts(a_RCHW)[:, None]
    return (0.5 + (flat_RP - middle_R1) / (6 * width_R1)).reshape(a_RCHW.shape)
