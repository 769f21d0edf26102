"""Templates: weights as images, beside the means of the classes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..study import StudyOfPools

if TYPE_CHECKING:
    from .result import TemplatesResult as TemplatesResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates(StudyOfPools["TemplatesResult"]):
    """Weights as pictures: do they match class means, and do averages fade?

    Of a linear classifier, one layer on the pixels, each row of the weights is a class's template;
    it is set against the mean training image of its class, and against that mean less the mean over
    classes. At a stationary point of cross-entropy with weight decay w

        w W_c = mean_i (1[y_i = c] - p_ic) x_i

    so that a strong decay, under which all p_ic are alike, makes the template the centred class
    mean, whatever it is worth as a classifier. Of any other network the templates are the rows or
    kernels of its first layer, and only what averaging does to them is told.

    Ingredients of one pool with the same weight decay are averaged (`vary: {weight_decay: [...]}`
    gives several); every pool is a repetition.

    Raises:
        FieldError: the first layer does not work on pixels, as in a network for text.
        ExtraError: without torchmetrics.

    Cost: every network is read twice and run once on the test split. Memory: a pool's first layers.
    Deviations: the paper scales every picture by itself to [0, 1], so that fading cannot be seen;
        here a network and its average share one scale. Its average of two classes' templates is
        `pair`; averaging models, which averages templates of the same class, is `merged`.
    Source: arXiv 2411.09263, sections 3 and 6.1.
    """
