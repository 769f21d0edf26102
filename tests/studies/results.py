"""Results of studies with whatever names and sizes a page must bear."""

import math

import numpy as np

from stockpot.studies.templates.result import Pictures, TemplateRow, TemplatesResult
from stockpot.studies.weights_features.result import LayerRow, ScoreRow, WeightsFeaturesResult


def template_result(
    decays=(0.0, 0.001, 1.0), channels=1, classes=12, seeds=(0, 1, 2), cell="linear"
):
    """A result of the study of templates, of one linear classifier."""
    generator = np.random.default_rng(0)
    rows = tuple(
        TemplateRow(
            cell=cell,
            seed=seed,
            weight_decay=decay,
            subject=subject,
            kind="classes",
            parents=parents,
            correlation=0.5 + decay / 3 + 0.01 * seed,
            correlation_raw=0.4,
            ssim=0.5,
            ssim_raw=0.1,
            contrast=0.2,
            ratio=0.7 if parents > 1 else math.nan,
            alike=0.6 if parents > 1 else math.nan,
            accuracy=0.9 - decay / 4,
        )
        for decay in decays
        for seed in seeds
        for subject, parents in (("single", 1), ("merged", 2), ("pair", 2))
    )
    names = tuple(f"<script>class {k}</script>" if k % 3 else "aš" * 20 for k in range(classes))
    labels = [(None, "class mean"), (None, "centred mean")]
    labels += [(decay, one) for decay in decays for one in ("one network", "merged")]
    shown = tuple(
        Pictures(
            cell=cell,
            weight_decay=decay,
            label=label,
            names=names,
            values=generator.standard_normal((classes, channels, 9, 9)).astype(np.float32),
        )
        for decay, label in labels
    )
    return TemplatesResult(title="Weights", cells=(cell,), rows=rows, pictures=shown, facts=())


def features(cells=("cnn", "resnet-8"), seeds=(0, 1, 2), layers=9):
    """A result of the other study; the second cell has batch normalisation."""
    rows, scores = [], []
    kinds = ("weights", "normalisation", "activation", "other", "block")
    for number, cell in enumerate(cells):
        variants = ("merged", "merged:bn")[: 1 + number]
        for seed in seeds:
            for variant in variants:
                rows += [
                    LayerRow(
                        cell=cell,
                        seed=seed,
                        variant=variant,
                        place=place,
                        layer=f"body.<b>{place}</b>",
                        kind=kinds[place % 5],
                        cosine=1 - 0.02 * place,
                        distance=0.05 * place + 0.01 * seed,
                        length=0.9,
                        spread=0.4,
                        own=math.nan if place % 5 == 4 else 0.03 * place,
                        kept=math.nan if place % 5 == 4 else 0.95,
                        disagree=0.2 if place % 5 == 2 else math.nan,
                        variance=0.8 - 0.05 * place,
                    )
                    for place in range(layers)
                ]
            told = {"single": 0.8, "logits-ensemble": 0.9, **dict.fromkeys(variants, 0.85)}
            scores += [
                ScoreRow(cell=cell, seed=seed, variant=v, accuracy=a + 0.01 * seed)
                for v, a in told.items()
            ]
    return WeightsFeaturesResult(
        title="Weights or features?",
        cells=cells,
        rows=tuple(rows),
        scores=tuple(scores),
        facts=(("run", "RUN"),),
    )
