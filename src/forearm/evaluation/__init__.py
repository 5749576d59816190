"""Numbers for predictions: metrics, baselines, counterfactuals. Arrays in, numbers out."""

from forearm.evaluation.baselines import (
    JOINT_ONLY,
    MEAN_FRAME,
    NEAREST_NEIGHBOUR,
    PERSISTENCE,
    Persistence,
    fitted_baselines,
    standard_baselines,
)
from forearm.evaluation.catalogue import CATALOGUE, METRICS, Metric
from forearm.evaluation.evaluate import Baseline, Diagnosable, Evaluation, evaluate
from forearm.evaluation.examples import Example
from forearm.evaluation.metrics import score
from forearm.evaluation.samples import Interval, Value

__all__ = [
    "CATALOGUE",
    "JOINT_ONLY",
    "MEAN_FRAME",
    "METRICS",
    "NEAREST_NEIGHBOUR",
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
    "fitted_baselines",
    "score",
    "standard_baselines",
]
