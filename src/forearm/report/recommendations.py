"""Recommendations, each by a rule about the figures of an evaluation, which it states."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, MOVE_MINUS, MOVE_PLUS
from forearm.evaluation import (
    CATALOGUE,
    JOINT_ONLY,
    MEAN_FRAME,
    METRICS,
    NEAREST_NEIGHBOUR,
    PERSISTENCE,
    UNTRAINED,
    Evaluation,
    Metric,
)
from forearm.evaluation.intervals import MIN_GROUPS
from forearm.media.words import figure
from forearm.report.uncertainty import UNSEEN
from forearm.report.wording import number, span

IGNORED = 0.25
ORDERED = 0.8
INCONSISTENT = 0.05
NEGLIGIBLE = 0.01
WIDE = 0.25
IMPROVED = 0.02
OVERFITTED = 0.1
FAR = 2.0
HARDLY_TRAINED = (
    "fewer samples seen than the data has, or the validation loss less than half of that at the evaluation before"
)


@dataclass(frozen=True)
class Recommendation:
    """What to do, the figure that says so, and the rule by which it does."""

    text: str
    figure: str
    rule: str


Log = list[dict[str, Any]]


def recommend(evaluation: Evaluation, log: Log, hardly: str = "") -> list[Recommendation]:
    """All recommendations that the figures of an evaluation and the entries of a ``log.jsonl`` give rise to.

    Args:
        hardly: why the run counts as hardly trained, as ``report.training.hardly_trained`` says; empty if it does not.
    """
    figures = _Figures(evaluation)
    advice = [advice for rule in RULES for advice in rule(figures, log)]
    if hardly:
        advice.insert(0, Recommendation("Train longer before judging this model.", hardly, HARDLY_TRAINED))
    return advice + list(worse_elsewhere(figures, advice))


class _Figures:
    """Single figures of an evaluation; NaN where they are undefined, so that no comparison with them holds."""

    def __init__(self, evaluation: Evaluation):
        self.evaluation = evaluation

    def __getitem__(self, name: str) -> float:
        return _number(self.evaluation.metrics[name])

    def baseline(self, baseline: str, name: str) -> float:
        return _number(self.evaluation.baselines[baseline].metrics[name])

    def persistence(self, name: str) -> float:
        return self.baseline(PERSISTENCE, name) if self._compared else np.nan

    def skill(self, name: str) -> float:
        return _number(self.evaluation.baselines[PERSISTENCE].skill[name]) if self._compared else np.nan

    def interval(self, name: str) -> tuple[float, float]:
        interval = self.evaluation.intervals[name]
        sure = isinstance(interval, tuple) and not self.evaluation.too_few
        return interval if sure else (np.nan, np.nan)  # type: ignore[return-value]

    @property
    def _compared(self) -> bool:
        return PERSISTENCE in self.evaluation.baselines


def _number(value: Any) -> float:
    return value if isinstance(value, float) else np.nan


def below_persistence(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    remedies = {
        "val_mse": "The pictures are worse than a copy of the last frame: do not plan with them. Train longer, on more "
        "recordings, or with a model that starts from the previous frame.",
        "val_mse_dynamic": "Where something moves, the last frame is nearer to the truth than the prediction. The "
        "model has not learned the motion. Train longer, or record more moves.",
        "acting_joint_position_mae": "The predicted position of the acting joint is worse than no motion. Give the "
        "motor strip more weight in the loss.",
    }
    for name, text in remedies.items():
        if figures[name] > figures.persistence(name) and figures.evaluation.verdict(name) != "level":
            yield Recommendation(
                text,
                f"{name} {figure(figures[name])}, copying {figure(figures.persistence(name))}",
                "error above persistence's, and not level with it",
            )


def behind_another_baseline(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    remedies = {
        MEAN_FRAME: "one mean picture for each action does better. The model has learned less than a mean. Train "
        "longer, and check that the loss falls.",
        NEAREST_NEIGHBOUR: "the training transition with the most similar joints does better. The training set knows "
        "more than the model. Train longer, or a larger model.",
        JOINT_ONLY: "the previous position and the action's mean effect do better. Give the motor strip more weight in "
        "the loss.",
        UNTRAINED: "the model does better with its first weights, before any training. Train longer.",
    }
    for name, title in figures.evaluation.key_metrics.items():
        winner = figures.evaluation.ahead(name)
        negligible = figures[name] < NEGLIGIBLE * figures.persistence(name)
        if winner and not negligible:
            yield Recommendation(
                f"On {title}, {remedies.get(winner, f'the {winner} baseline does better.')}",
                f"{name} {figure(figures[name])}, {winner} {figure(figures.baseline(winner, name))}",
                "surely worse than another baseline, not surely worse than persistence, and above "
                f"{NEGLIGIBLE:.0%} of its error",
            )


def guesses(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    for code in figures.evaluation.guesses:
        name = CODE_NAMES[code]
        yield Recommendation(
            f"Predictions under {name} are guesses. Record transitions with {name} before using them.",
            f"{name} seen 0 times in training",
            "an action that training never saw",
        )


def action_ignored(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    moves = [figures.persistence(f"val_mse_action_{code}") for code in (MOVE_PLUS, MOVE_MINUS)]
    defined = [error for error in moves if np.isfinite(error)]
    true_difference = np.mean(defined) if defined else np.nan
    score = figures["action_discrimination_score"]
    if score < IGNORED * true_difference:
        yield Recommendation(
            "The predicted picture hardly depends on the action. Show the action more strongly (a wider separator), "
            "train longer, or record larger moves.",
            f"action_discrimination_score {figure(score)}, true difference {figure(float(true_difference))}",
            f"below {IGNORED:.0%} of what a move really changes (persistence's error over moves)",
        )
    name = "controllability_psnr_moves"
    low, high = figures.interval(name)
    if low <= 0:
        yield Recommendation(
            "The action does not surely improve the predicted picture. Plans made with this model may be no better "
            "than chance.",
            f"{name} {figure(figures[name], 'dB')} (95% {span((low, high))})",
            "its interval reaches 0",
        )


def wrong_effect(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    low, high = figures.interval("counterfactual_effect_error")
    if low > 1:
        yield Recommendation(
            "The predicted difference between two actions is further from the truth than no difference. Do not choose "
            "actions by these pictures. Record several actions from the same poses.",
            f"counterfactual_effect_error {figure(figures['counterfactual_effect_error'])} (95% {span((low, high))})",
            "its interval lies above 1, which ignoring the action gets",
        )


def wrong_way(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    for name, text in {
        "acting_joint_direction_accuracy": "The model often moves the acting joint the wrong way. Look at the grids "
        "below before trusting a plan. More moves of that joint in training help most.",
        "counterfactual_order": "The acting joint does not follow the action from MOVE− over STAY to MOVE+. Record all "
        "three actions from the same poses.",
    }.items():
        if figures[name] < ORDERED:
            yield Recommendation(text, f"{name} {figure(figures[name], 'share')}", f"below {ORDERED:.0%}")


def inconsistent(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    error, position_error = figures["motor_consistency_error"], figures["motor_position_mae_mean"]
    motion = figures.persistence("acting_joint_position_mae")
    if error > position_error and error > INCONSISTENT * motion:
        yield Recommendation(
            "Motor position and velocity predictions are inconsistent. Consider adding a consistency loss or "
            "simplifying the velocity encoding.",
            f"motor_consistency_error {figure(error)}, motor_position_mae_mean {figure(position_error)}",
            f"above motor_position_mae_mean and above {INCONSISTENT:.0%} of the acting joint's mean motion",
        )


def strip_against_picture(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    strip, visual = figures.skill("val_mse_motor_strip"), figures.skill("val_mse")
    skills = f"skill {figure(strip)} on the strip, {figure(visual)} on the picture"
    if strip < 0 < visual:
        yield Recommendation(
            "The picture is learned but the joints are not. Give the motor strip more weight in the loss.",
            *(skills, "skill below 0 on the strip and above 0 on the picture"),
        )
    if visual < 0 < strip:
        yield Recommendation(
            "The joints are learned but the picture is not. Train longer, or a larger model.",
            *(skills, "skill below 0 on the picture and above 0 on the strip"),
        )


def too_few_samples(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    evaluation = figures.evaluation
    if few := evaluation.too_few:
        yield Recommendation(
            "The validation set is too small to judge by. Hold out more episodes, of more scenes.",
            few,
            f"fewer than {MIN_GROUPS} independent episodes or scenes",
        )
    low, high = figures.interval("val_mse")
    half_width = (high - low) / 2
    if half_width > WIDE * figures["val_mse"]:
        yield Recommendation(
            "The validation set is too small or too uneven to tell good models apart. Hold out more episodes.",
            f"val_mse {figure(figures['val_mse'])} ± {figure(half_width)}, {evaluation.groups} {evaluation.grouped_by}",
            f"half of the 95% interval is more than {WIDE:.0%} of val_mse",
        )


def training_course(figures: _Figures, log: Log) -> Iterator[Recommendation]:
    validations = [(entry["step"], entry["val_loss"]) for entry in log if "val_loss" in entry]
    if len(validations) < 5:
        return
    steps, losses = np.array(validations).T
    early = losses[: max(1, (steps <= 0.8 * steps[-1]).sum())].min()
    best_step, best, last = steps[losses.argmin()], losses.min(), losses[-1]
    if best < (1 - IMPROVED) * early:
        yield Recommendation(
            "The model was still improving when training ended. Train longer.",
            f"val_loss {figure(early)} → {figure(best)} in the last fifth of training",
            f"more than {IMPROVED:.0%} better in the last fifth",
        )
    if last > (1 + OVERFITTED) * best and best_step <= 0.8 * steps[-1]:
        yield Recommendation(
            "The model began to overfit. Use more recordings, stronger weight decay, or fewer steps.",
            f"val_loss {figure(last)} at the end, {figure(best)} at step {best_step:.0f}",
            f"more than {OVERFITTED:.0%} above its minimum, which lies before the last fifth",
        )


def worse_elsewhere(figures: _Figures, advice: list[Recommendation]) -> Iterator[Recommendation]:
    """What is surely worse than copying and no other rule has named, so that no figure is passed over in silence."""
    named = {one.figure.split(" ")[0] for one in advice}
    worse = {metric.name for metric in CATALOGUE if _behind(figures, metric)} - named
    texts = {name: text for name, text in OTHERWISE.items() if name in worse}
    groups = [([name], text) for name, text in texts.items()]
    if rest := sorted(worse - texts.keys()):
        groups.append((rest, "Copying the last frame is better on these figures."))
    for names, text in groups:
        compared = (
            f"{name} {number(figures[name], METRICS[name])}, copying {number(figures.persistence(name), METRICS[name])}"
            for name in names
        )
        yield Recommendation(
            text, "; ".join(compared), f"surely worse than persistence or, where that cannot be told, {FAR:g} times it"
        )


def _behind(figures: _Figures, metric: Metric) -> bool:
    """Whether copying is better on a metric."""
    verdict = figures.evaluation.verdict(metric.name)
    copied = figures.persistence(metric.name)
    far = "_mse" in metric.name and figures[metric.name] > FAR * copied >= FAR * UNSEEN**2
    return verdict == "worse" or (verdict is None and metric.fair(PERSISTENCE) and far)


OTHERWISE = {
    "val_mse_static": "Where nothing changes, the prediction is further from the truth than the last frame: the model "
    "disturbs what stands still. Train longer, or with a model that copies what it does not move.",
}
"""What to do where a figure is worse than copying's that no rule is about."""

RULES: tuple[Callable[[_Figures, Log], Iterator[Recommendation]], ...] = (
    below_persistence,
    behind_another_baseline,
    guesses,
    action_ignored,
    wrong_effect,
    wrong_way,
    inconsistent,
    strip_against_picture,
    too_few_samples,
    training_course,
)
