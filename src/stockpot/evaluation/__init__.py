"""What networks get right: predictions, ensembles, soups, intervals, tables to be believed."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .choices.adamerging import Adapted as Adapted
    from .choices.adamerging import Learner as Learner
    from .choices.adamerging import adapt as adapt
    from .choices.coefficients import Stored as Stored
    from .choices.learned_soup import Learning as Learning
    from .choices.soups import soup as soup
    from .contests.bodies import TaskNetwork as TaskNetwork
    from .contests.bodies import TaskPool as TaskPool
    from .contests.compare import compare_pools as compare_pools
    from .contests.cross_task import cross_task as cross_task
    from .predictions.ensembles import average_head as average_head
    from .predictions.ensembles import features_ensemble as features_ensemble
    from .predictions.ensembles import logits_ensemble as logits_ensemble
    from .predictions.ensembles import probabilities_ensemble as probabilities_ensemble
    from .predictions.ensembles import temperature_ensemble as temperature_ensemble
    from .predictions.ingredients import Ingredients as Ingredients
    from .predictions.predict import Predictions as Predictions
    from .predictions.predict import predict as predict
    from .results.comparison import Attempt as Attempt
    from .results.comparison import Comparison as Comparison
    from .results.comparison import Confusion as Confusion
    from .results.comparison import Cost as Cost
    from .results.comparison import Decision as Decision
    from .results.comparison import Row as Row
    from .results.comparison import Verdict as Verdict
    from .results.intervals import Difference as Difference
    from .results.intervals import Interval as Interval
    from .scores.custom import metric_from as metric_from
    from .scores.dispersion import Dispersion as Dispersion
    from .scores.dispersion import dispersions as dispersions
    from .scores.losses import fit_temperature as fit_temperature
    from .scores.metrics import METRICS as METRICS
    from .scores.metrics import Metric as Metric
    from .scores.metrics import accuracy as accuracy
    from .scores.metrics import auroc as auroc
    from .scores.metrics import ece as ece
    from .scores.metrics import nll as nll

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "choices.adamerging": "Adapted Learner adapt",
        "choices.coefficients": "Stored",
        "choices.learned_soup": "Learning",
        "choices.soups": "soup",
        "contests.bodies": "TaskNetwork TaskPool",
        "contests.compare": "compare_pools",
        "contests.cross_task": "cross_task",
        "predictions.ensembles": (
            "average_head features_ensemble logits_ensemble probabilities_ensemble "
            "temperature_ensemble"
        ),
        "predictions.ingredients": "Ingredients",
        "predictions.predict": "Predictions predict",
        "results.comparison": "Attempt Comparison Confusion Cost Decision Row Verdict",
        "results.intervals": "Difference Interval",
        "scores.custom": "metric_from",
        "scores.dispersion": "Dispersion dispersions",
        "scores.losses": "fit_temperature",
        "scores.metrics": "METRICS Metric accuracy auroc ece nll",
    },
)
