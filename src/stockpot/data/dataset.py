"""Labelled samples in memory: what networks are trained and judged on.

Shapes: N samples, C channels, H x W pixels, T tokens, L classes, K chosen samples.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import StockpotError


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """N labelled samples, and which of them are views of one original.

    Attributes:
        name: what a table or a file calls it.
        inputs: images [N, C, H, W], float32 and finite, or uint8 to be divided by 255; or text
            as int64 [N, 2, T], token ids over their attention mask.
        labels: int64 [N], classes in [0, num_classes); or, where a sample may have several, bool
            [N, L].
        num_classes: how many classes there are, also where a subset does not hold them all.
        originals: int64 [N]; samples with the same number are views of one original (or of one
            patient). Intervals resample originals, because two views of one image do not err
            independently.
        classes: their names, or none.
        domains: the names of the domains that samples come from, or none.
        domain: int64 [N], an index into `domains` for each sample; none without domains.

    Raises:
        StockpotError: where shapes, types or labels do not fit together.
    """

    name: str
    inputs: Tensor
    labels: Tensor
    num_classes: int
    originals: Tensor
    classes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    domain: Tensor | None = None

    def __post_init__(self) -> None:
        self._check_inputs()
        self._check_labels()
        self._check_domains()
        if self.classes and len(self.classes) != self.num_classes:
            raise StockpotError(
                f"data '{self.name}': {len(self.classes)} names for {self.num_classes} classes."
            )

    def _check_inputs(self) -> None:
        inputs, count = self.inputs, len(self.labels)
        shaped = inputs.shape[1:2] == (2,) if self.is_text else inputs.ndim == 4
        if not shaped or len(inputs) != count or len(self.originals) != count:
            raise StockpotError(
                f"data '{self.name}': inputs must be images [N, C, H, W] or text [N, 2, T], with "
                f"one label and one original each; got {tuple(inputs.shape)}, {count} labels, "
                f"{len(self.originals)} originals."
            )
        known = inputs.dtype in (torch.float32, torch.uint8, torch.int64)
        if not known or not bool(inputs.isfinite().all()):
            raise StockpotError(
                f"data '{self.name}': images must be finite float32 or uint8, text int64; got "
                f"{inputs.dtype}."
            )

    def _check_labels(self) -> None:
        labels = self.labels
        if self.is_multilabel:
            if labels.dtype != torch.bool or labels.shape[1] != self.num_classes:
                raise StockpotError(
                    f"data '{self.name}': labels of several classes must be bool "
                    f"[N, {self.num_classes}]; got {labels.dtype} {tuple(labels.shape)}."
                )
        elif len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise StockpotError(
                f"data '{self.name}': labels must lie in [0, {self.num_classes}); got "
                f"{int(labels.min())} to {int(labels.max())}."
            )

    def _check_domains(self) -> None:
        domain, count = self.domain, len(self.domains)
        if domain is None and not count:
            return
        if domain is None or domain.shape != self.labels.shape[:1]:
            raise StockpotError(
                f"data '{self.name}': {count} domains need one index for each of "
                f"{len(self.labels)} samples; got {None if domain is None else len(domain)}."
            )
        if len(domain) and not 0 <= int(domain.min()) <= int(domain.max()) < count:
            raise StockpotError(
                f"data '{self.name}': domains must lie in [0, {count}); got "
                f"{int(domain.min())} to {int(domain.max())}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_text(self) -> bool:
        """Whether the inputs are tokens."""
        return self.inputs.dtype == torch.int64

    @property
    def is_multilabel(self) -> bool:
        """Whether a sample may have several classes."""
        return self.labels.ndim == 2

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.inputs.shape[1]

    @property
    def image_size(self) -> int:
        """Pixels along the shorter side."""
        return min(self.inputs.shape[2:])

    @property
    def images(self) -> Tensor:
        """All images as float32 [N, C, H, W]."""
        return self.batch(slice(None))

    def batch(self, index: Tensor | slice) -> Tensor:
        """Some samples as networks take them: images float32, in [0, 1] where they were bytes."""
        chosen = self.inputs[index]
        return chosen.float().div_(255) if chosen.dtype == torch.uint8 else chosen

    def take(self, index_K: Tensor) -> "Dataset":
        """The samples at these positions, in this order."""
        return replace(
            self,
            inputs=self.inputs[index_K],
            labels=self.labels[index_K],
            originals=self.originals[index_K],
            domain=None if self.domain is None else self.domain[index_K],
        )

    def with_images(self, images_NCHW: Tensor) -> "Dataset":
        """The same samples seen differently: new images, all else kept."""
        return replace(self, inputs=images_NCHW)
