"""Numbers for predictions: metrics, baselines, counterfactuals. Arrays in, numbers out."""

from forearm.evaluation.baselines import PERSISTENCE, Persistence, standard_baselines
from forearm.evaluation.catalogue import CATALOGUE, METRICS, Metric
from forearm.evaluation.evaluate import Baseline, Diagnosable, Evaluation, evaluate
from forearm.evaluation.examples import Example
from forearm.evaluation.metrics import score
from forearm.evaluation.samples import Interval, Value

__all__ = [
    "CATALOGUE",
    "METRICS",
    "PERSISTENCE",
    "Baseline",
    "Diagnosable",
    "Evaluation",
    "Example",
    "Interval",
    "Metric",
    "Persistence",
    "Value",
    "evaluate",
    "score",
    "standard_baselines",
]
