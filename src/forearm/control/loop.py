"""Model-predictive control: look, plan, take the first action, look again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from forearm.batch import Prediction, Predictor, present
from forearm.canvas import Layout, as_float, as_uint8, draw_strips
from forearm.canvas.actions import DEAD_BAND
from forearm.control.goals import Goal
from forearm.control.planners import Plan, Planner

REACHED, STAYING, SPENT = "the goal is reached", "staying is best", "all steps are taken"


@dataclass(frozen=True)
class Observation:
    """What an arm shows: (h, w, 3) uint8 for each camera of the layout, and joints (J,) float32 in their units."""

    pictures: list[np.ndarray]
    joints: np.ndarray


class Arm(Protocol):
    """Something that can be looked at and moved: a simulated arm, a real one, or a dreamt one."""

    @property
    def layout(self) -> Layout:
        """In which it is seen and moved: its cameras, joints and actions."""
        ...

    def observe(self) -> Observation:
        """Look, at rest."""
        ...

    def act(self, amounts: np.ndarray, entry: int) -> None:
        """Carry out signed amounts (A,) in [−1, 1] about an action entry, and come to rest."""
        ...


@dataclass(frozen=True)
class Step:
    """A moment of a controlled arm: what was seen, and what was planned from it."""

    seen: Observation
    plan: Plan


@dataclass
class Trace:
    """What control did. The last step took no action; ``outcome`` says why."""

    layout: Layout
    steps: list[Step] = field(default_factory=list)
    outcome: str = ""

    @property
    def actions(self) -> int:
        """How many were taken."""
        return len(self.steps) - 1


def control(
    arm: Arm,
    predictor: Predictor,
    goal: Goal,
    planner: Planner,
    *,
    farther: Planner | None = None,
    steps: int = 12,
    device: torch.device | str = "cpu",
    before_action: Callable[[Step], None] = lambda step: None,
) -> Trace:
    """Drive an arm towards a goal, planning anew after every action.

    It ends when the goal is reached, when no plan is better than staying, or after ``steps`` actions.

    Args:
        arm: at rest, of the predictor's layout.
        predictor: foresees, on ``device``.
        goal: what is wanted.
        planner: what looks for actions.
        farther: asked again where the planner would stay or take back the action before: a costlier look, that sees
            out of a hollow between here and a goal far away.
        before_action: is told each step before its action is taken; what it raises ends the control.

    Raises:
        ForearmError: what the arm shows does not fit the layout, or the arm cannot act.
    """
    trace = Trace(arm.layout)
    while True:
        seen = arm.observe()
        context = present(arm.layout, seen.pictures, seen.joints).to(device)
        plan = planner.plan(predictor, context, goal)
        if farther and plan.staying > goal.enough and (not len(plan) or _takes_back(plan, trace)):
            plan = farther.plan(predictor, context, goal)
        step = Step(seen, plan)
        trace.steps.append(step)
        if step.plan.staying <= goal.enough:
            trace.outcome = REACHED
        elif not len(step.plan):
            trace.outcome = STAYING
        elif trace.actions == steps:
            trace.outcome = SPENT
        if trace.outcome:
            return trace
        before_action(step)
        arm.act(step.plan.amounts[0], int(step.plan.entries[0]))


def _takes_back(plan: Plan, trace: Trace) -> bool:
    """Whether a plan begins by undoing the last action."""
    return bool(trace.steps) and np.abs(plan.amounts[0] + trace.steps[-1].plan.amounts[0]).max() < DEAD_BAND


class DreamtArm:
    """An arm that exists in a model alone: what it shows after an action is what the model predicts."""

    def __init__(self, predictor: Predictor, layout: Layout, seen: Observation, device: torch.device | str = "cpu"):
        self.predictor, self.layout, self.seen, self.device = predictor, layout, seen, device

    def observe(self) -> Observation:
        return self.seen

    @torch.inference_mode()
    def act(self, amounts: np.ndarray, entry: int) -> None:
        context = present(self.layout, self.seen.pictures, self.seen.joints).to(self.device)
        taken = context.with_action(torch.from_numpy(amounts[None]), torch.tensor([entry]))
        (self.seen,) = observed(self.layout, self.predictor.predict(taken))


def observed(layout: Layout, seen: Prediction) -> list[Observation]:
    """What B predictions show."""
    frames, joints = as_uint8(seen.frame.cpu().numpy()), seen.joints(layout).float().cpu().numpy()
    return [Observation(pictures_of(layout, frame), of_frame) for frame, of_frame in zip(frames, joints, strict=True)]


def pictures_of(layout: Layout, frame: np.ndarray) -> list[np.ndarray]:
    """The cameras' pictures (h, w, 3) of a frame with its strip (3, H, w), both uint8."""
    return [np.ascontiguousarray(frame.transpose(1, 2, 0)[box]) for box in layout.camera_boxes()]


def region_of(layout: Layout, seen: Observation, before: np.ndarray) -> np.ndarray:
    """The frame with its strip that shows an observation, (3, H, w) float32, after joints ``before`` (J,)."""
    region = np.empty((3, layout.height, layout.frame_width), np.float32)
    for picture, box in zip(seen.pictures, layout.camera_boxes(), strict=True):
        region[:, *box] = as_float(picture).transpose(2, 0, 1)
    region[:, layout.frame_height :] = draw_strips(layout, np.stack([before, seen.joints])[None])[0, -1]
    return region
