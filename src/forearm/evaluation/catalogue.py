"""What each metric means, which way it is better, and in what unit it is."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from forearm.canvas import CODE_NAMES, CODES, Layout
from forearm.evaluation.baselines import JOINT_ONLY, PERSISTENCE, UNTRAINED


@dataclass(frozen=True)
class Metric:
    """A metric as tables show it."""

    name: str
    """Its key in ``metrics.json``."""
    group: str
    """The part of a table in which it stands."""
    better: str
    """"lower", "higher" or "nearest 1"."""
    unit: str
    """"", "dB", "mm", "share", or "joint" for the joints' own."""
    text: str
    """What it means."""
    other_name: str = ""
    """A second key under which ``metrics.json`` holds the same figure."""

    @property
    def label(self) -> str:
        """Its name where people read it: the action by its name and not by its code."""
        measure, of_action, code = self.name.rpartition("_action_")
        return f"{measure} of {CODE_NAMES[int(code)]}" if of_action else self.name

    def fair(self, baseline: str) -> bool:
        """Whether a baseline competes. It does not where its rule decides the effect of the action or its consistency.
        Persistence never moves, so it has no direction. What copies the previous picture leaves all objects where they
        were. What copies recorded pictures is as sharp as they are. Else the untrained model, which follows no rule,
        always competes."""
        if self.better == "nearest 1":
            return False
        if baseline == UNTRAINED:
            return True
        if self.group == "action" or self.name.endswith("consistency_error"):
            return False
        if self.name == UNMOVED and baseline in (PERSISTENCE, JOINT_ONLY):
            return False
        return baseline != PERSISTENCE or not self.name.endswith("direction_accuracy")

    def given(self, layout: Layout) -> bool:
        """Whether the action answers it: it is about joints, and the actions of the layout are changes of joints."""
        driven = any(joint >= 0 for joint in layout.joint_of_dimension())
        return self.name in GIVEN and layout.action_is is None and driven

    def loss(self, value: float) -> float:
        """How bad a figure is, whichever way the metric is better: less is better."""
        return abs(value - 1) if self.better == "nearest 1" else -value if self.better == "higher" else value

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which its figures lie by its definition."""
        if self.unit == "share":
            return 0.0, 1.0
        if self.name.startswith("ssim"):
            return -1.0, 1.0
        signed = self.better == "higher" or self.name == "object_motion_slope"
        return -math.inf if signed else 0.0, math.inf

    @property
    def arrow(self) -> str:
        """The better direction."""
        return {"lower": "↓", "higher": "↑"}.get(self.better, "→ 1")


UNMOVED = "object_position_error_untouched"
"""How far objects move that nobody touched: 0 by definition where the previous picture is copied."""

_TEXTS = {
    "picture": {
        "val_mse": "Mean squared error of the predicted picture, pixels from 0 to 1.",
        "val_mse_dynamic": (
            "val_mse where the picture changed by more than 0.02. Copying is wrong here by definition."
        ),
        "val_mse_static": (
            "val_mse where the picture did not change. Copying is right here by definition and hard to beat."
        ),
        "val_mse_moves": "val_mse over moves.",
        "ssim": "Structural similarity to the true picture: 1 is identical, 0 is unrelated. Blur lowers it.",
        "ssim_moves": "ssim over moves.",
        "ssim_valid": "ssim without padding: windows lie inside one camera. Mean over the cameras.",
        "ssim_valid_moves": "ssim_valid over moves.",
        "sharpness": (
            "Gradient energy of predicted pictures / that of true ones, over moves: 1 is right, less is blurred."
        ),
        "psnr": "Peak signal-to-noise ratio, mean over samples. 3 dB more is half the error. It is capped at 100 dB.",
        "psnr_moves": "psnr over moves.",
        "ssim_fed_back": (
            "ssim after about 2 s of predictions that are fed back along recorded paths. Mean over the paths."
        ),
        **{f"val_mse_action_{code}": f"val_mse over the samples of {CODE_NAMES[code]}." for code in CODES},
    },
    "joints": {
        "val_mse_motor_strip": (
            "Mean squared error of the motor strip, the grey cells below the picture that show the joints."
        ),
        "acting_joint_direction_accuracy": (
            "Share of moves for which the predicted direction of the joint that the action drives is the true one."
        ),
        "acting_joint_position_mae": ("Absolute error of the predicted position of the joint that the action drives."),
        "motor_position_mae_mean": "Absolute error of predicted positions, mean over all joints.",
        "motor_position_mae_per_joint": "Absolute error of predicted positions, joint by joint.",
        **{
            f"motor_position_mae_action_{code}": f"motor_position_mae_mean over the samples of {CODE_NAMES[code]}."
            for code in CODES
        },
        "motor_velocity_mae_mean": ("Absolute error of predicted velocities, the changes since the previous frame."),
        "motor_direction_accuracy": (
            "Share of joints, over moves, whose predicted direction is the true one. Joints that only jitter count too."
        ),
        "motor_consistency_error": (
            "Absolute difference between predicted velocities and the changes of the predicted positions. "
            "Copying is always consistent."
        ),
    },
    "readout": {
        "readout_position_mae": (
            "Absolute error, over moves, of the acting joint as a network that learned from true pictures alone reads "
            "it from the predicted picture. No strip is looked at, so it means the same for every family."
        ),
        "readout_position_mae_mean": "The same over all samples, mean over the joints that can be read.",
        "readout_position_mae_per_joint": "The same over all samples, joint by joint.",
        "readout_agreement_mae": (
            "Absolute difference between the acting joint as read from the predicted picture and as predicted: whether "
            "the painted arm stands where the model says. The floor is part of it."
        ),
        "readout_direction_accuracy": (
            "Share of moves for which the acting joint, read from the previous true and the predicted picture, moves "
            "in the true direction."
        ),
    },
    "objects": {
        "object_position_error": (
            "How far pushed objects end from where they truly do, as a network that learned from true pictures alone "
            "finds them in the predicted picture. Its error on true pictures is the floor."
        ),
        UNMOVED: (
            "How far objects that nothing touched are moved in the predicted picture: at 0 they stay where they are."
        ),
        "object_direction_accuracy": (
            "Share of pushed objects that move within 45° of the true direction, and by 1 mm or more."
        ),
        "object_motion_slope": (
            "How far pushed objects move along the true direction / how far they truly do: 1 is right, 0 is copying."
        ),
        "object_moved_balanced_accuracy": (
            "Whether the predicted picture shows rightly that an object moved by 3 mm or more: mean of the share of "
            "pushed objects and that of untouched ones. 1/2 is copying, and chance."
        ),
        "object_mse_pushed": "Mean squared error within the boxes of pushed objects, before and after the push.",
        "object_mse_untouched": "The same within the boxes of objects that nothing touched.",
    },
    "action": {
        "action_discrimination_score": (
            "MSE between the pictures predicted under different actions. At 0 the model ignores the action. "
            "The goal is the true difference, not the largest."
        ),
        "motor_discrimination_score": "The same on the motor strip.",
        "counterfactual_order": (
            "Share of samples for which the acting joint ends higher under MOVE+ than under STAY, "
            "and there higher than under MOVE−."
        ),
        "counterfactual_plus_above_minus": (
            "Share of samples for which the acting joint ends higher under MOVE+ than under MOVE−."
        ),
        "controllability_psnr": (
            "PSNR of the picture under the true action − PSNR under the other actions. At 0 the action does not help."
        ),
        "controllability_psnr_moves": "controllability_psnr over moves.",
    },
    "outcomes": {
        "k_way_accuracy": (
            "Share of samples whose true picture is nearest to the prediction under the action that was taken. "
            "Chance is 1/3. So is copying, which predicts the same under all actions."
        ),
        "counterfactual_mse": (
            "val_mse under the actions that were not taken, against their true outcomes from the same state."
        ),
        **{
            f"counterfactual_mse_action_{code}": (
                f"val_mse under {CODE_NAMES[code]} against its true outcome, whether it was taken or not."
            )
            for code in CODES
        },
        "counterfactual_position_mae": (
            "Absolute error of the predicted position of the acting joint under the actions that were not taken."
        ),
        "counterfactual_effect_error": (
            "Error of the predicted difference between the pictures of two actions, as a share of the true difference. "
            "0 is perfect, 1 is as bad as ignoring the action."
        ),
    },
}
NEAREST_1 = ("sharpness", "object_motion_slope")
_OTHER_NAMES = {"val_mse": "val_mse_visual"}
_UNITS = {
    **{f"{name}{over}": "dB" for name in ("psnr", "controllability_psnr") for over in ("", "_moves")},
    "motor_direction_accuracy": "share",
    "acting_joint_direction_accuracy": "share",
    "readout_direction_accuracy": "share",
    "counterfactual_order": "share",
    "counterfactual_plus_above_minus": "share",
    "k_way_accuracy": "share",
    "object_position_error": "mm",
    UNMOVED: "mm",
    "object_direction_accuracy": "share",
    "object_moved_balanced_accuracy": "share",
    "counterfactual_effect_error": "",
}


def _metric(name: str, group: str, text: str) -> Metric:
    is_error = "_mse" in name or "_mae" in name or "_error" in name
    unit = _UNITS.get(name, "joint" if is_error and "_mse" not in name else "")
    better = "lower" if is_error else "nearest 1" if name in NEAREST_1 else "higher"
    return Metric(name, group, better, unit, text, _OTHER_NAMES.get(name, ""))


CATALOGUE = tuple(_metric(name, group, text) for group, texts in _TEXTS.items() for name, text in texts.items())
"""All metrics, in the order of tables."""

METRICS = {name: metric for metric in CATALOGUE for name in (metric.name, metric.other_name) if name}
"""Each metric under each of its names."""

GIVEN = {
    *(name for name in _TEXTS["joints"] if name != "motor_consistency_error"),
    *("motor_discrimination_score", "counterfactual_order", "counterfactual_plus_above_minus"),
    "counterfactual_position_mae",
}
"""Metrics of joints: where the action names the change of the joint, the inputs answer them."""

FED_BACK = "ssim_fed_back"
"""What stands first: it goes with how useful a run is (docs/benchmarks/correlations.md)."""
FED_BACK_SECONDS, FED_BACK_STEPS = 2.0, 10
"""After how long it is measured; steps where nobody knows how long one lasts."""

KEY_METRICS = {
    FED_BACK: "structural similarity, fed back",
    "val_mse_moves": "picture error of moves",
    "val_mse_dynamic": "error where the picture changes",
    "ssim_moves": "structural similarity of moves",
    "acting_joint_position_mae": "acting-joint position",
}
"""The metrics by which models are judged at a glance, each with its title."""

TITLES = KEY_METRICS | {"readout_position_mae": "joint error as read from the picture"}
"""Those, and what stands for a key metric that the action answers."""

LARGEST_FLOOR = 0.5
"""A reader that errs by more than this share of copying's error on true pictures cannot tell models apart."""


def key_metrics(given: Collection[str], legible: bool = True, fed_back_for: str = "") -> dict[str, str]:
    """Those of ``KEY_METRICS`` that an evaluation can be judged by, each with its title.

    Where the action answers the joint's position, the joint is read from the predicted picture instead, if legible.

    Args:
        given: names of the metrics that the action answers.
        fed_back_for: how long predictions were fed back, in words, for the title; empty where they were not.
    """
    left_out = {"acting_joint_position_mae"} if "acting_joint_position_mae" in given else {"readout_position_mae"}
    if not legible:
        left_out.add("readout_position_mae")
    if not fed_back_for:
        left_out.add(FED_BACK)
    titles = TITLES | {FED_BACK: f"{TITLES[FED_BACK]} for {fed_back_for}"}
    return {name: title for name, title in titles.items() if name not in left_out}


def fed_back_for(figures: Mapping[str, Any]) -> str:
    """How long predictions were fed back for ``FED_BACK``, in words; empty where they were not.

    Args:
        figures: what ``metrics.json`` holds.
    """
    found = (figures.get("rollouts") or {}).get("fed_back")  # older ones do not say
    return lasting(found["steps"], found["seconds"]) if found else ""


def lasting(steps: int, seconds: float | None) -> str:
    """How long steps last together, in words; their number where nobody knows."""
    return f"{steps} step{'s' if steps > 1 else ''}" if seconds is None else f"{seconds:.2g} s"


def legible(figures: Mapping[str, Any]) -> bool:
    """Whether the acting joint is read well enough to judge a model by it: within ``LARGEST_FLOOR`` of copying's error.

    Args:
        figures: what ``metrics.json`` holds. Where no floor or no copying is known nothing speaks against it.
    """
    floor = ((figures.get("readout") or {}).get("floor") or {}).get("readout_position_mae")
    copied = figures.get("baselines", {}).get(PERSISTENCE, {}).get("metrics", {}).get("readout_position_mae")
    return floor is None or copied is None or floor <= LARGEST_FLOOR * copied


COPYING_IS_RIGHT = ("motor_consistency_error", UNMOVED)
"""Errors that copying does not make, whatever happens: it predicts no motion. No error can be held against none."""

ERRORS = tuple(name for name, metric in METRICS.items() if metric.better == "lower" and name not in COPYING_IS_RIGHT)
"""Metrics that are 0 at best, and not by definition for copying: skill = 1 − error / persistence's makes sense."""
