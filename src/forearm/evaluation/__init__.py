"""Numbers for predictions: metrics, baselines, counterfactuals. Arrays in, numbers out."""

from forearm.evaluation.asking import Diagnosable
from forearm.evaluation.baselines import (
    JOINT_ONLY,
    MEAN_FRAME,
    NEAREST_NEIGHBOUR,
    PERSISTENCE,
    UNTRAINED,
    Persistence,
    fitted_baselines,
    standard_baselines,
)
from forearm.evaluation.catalogue import (
    CATALOGUE,
    FED_BACK,
    KEY_METRICS,
    METRICS,
    Metric,
    fed_back_for,
    key_metrics,
    legible,
)
from forearm.evaluation.evaluate import evaluate
from forearm.evaluation.evaluation import Baseline, Evaluation
from forearm.evaluation.examples import Example
from forearm.evaluation.metrics import score
from forearm.evaluation.rollouts import Film, Rollouts, draw_paths, roll_out
from forearm.evaluation.samples import MODEL, Interval, Value
