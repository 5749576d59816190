"""A model whose training has diverged is neither planned with nor followed: one line says what is wrong."""

import numpy as np
import pytest
import torch
from support.bars import BarArm, BarDynamics, goals, seen_at

from forearm.base.errors import ForearmError
from forearm.batch import Prediction, present
from forearm.canvas import Action
from forearm.control.loop import control
from forearm.control.planners import CEM, TreeSearch
from forearm.environment import ImaginedEnvironment, rollout
from forearm.models import WorldModel


class Diverged(WorldModel):
    """Its weights are no numbers, and so is what it predicts; the first ``good`` times it is still right."""

    def __init__(self, layout, good=0):
        super().__init__(layout)
        self.weight, self.good = torch.nn.Parameter(torch.tensor(torch.nan)), good

    def predict(self, batch):
        self.good -= 1
        right = BarDynamics(self.layout).predict(batch)
        return right if self.good >= 0 else Prediction(right.frame * self.weight)


PLANNERS = (TreeSearch(3), TreeSearch(3, width=1), TreeSearch(2).farther(), CEM(2, samples=8, elites=2))


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("goal", range(3))
@pytest.mark.parametrize("good", [0, 1])
def test_no_planner_plans_with_it(pan_layout, planner, goal, good) -> None:
    seen = seen_at(pan_layout, np.array([-30.0, 0.0]))
    with pytest.raises(ForearmError, match="no numbers"):
        planner.plan(Diverged(pan_layout, good), present(pan_layout, seen), goals(pan_layout, 30)[goal])


@pytest.mark.parametrize("planner", PLANNERS)
def test_no_arm_is_driven_with_it(pan_layout, planner) -> None:
    arm = BarArm(pan_layout, [-30, 0])
    with pytest.raises(ForearmError, match="no numbers"):
        control(arm, Diverged(pan_layout), goals(pan_layout, 30)[0], planner)
    assert arm.acted == []


def test_an_imagined_world_stays_where_it_was(pan_layout) -> None:
    arm = ImaginedEnvironment(Diverged(pan_layout))
    before = arm.reset(present(pan_layout, seen_at(pan_layout, np.zeros(2))))
    with pytest.raises(ForearmError, match="no numbers"):
        arm.step(Action(np.ones(1, np.float32), 0))
    assert arm.observe() is before


@pytest.mark.parametrize("good", [0, 2])
def test_it_is_not_fed_back(pan_layout, good) -> None:
    seen = seen_at(pan_layout, np.zeros(2))
    first = present(pan_layout, seen)
    with pytest.raises(ForearmError, match="no numbers"):
        rollout(Diverged(pan_layout, good), first, torch.ones(1, 3, 1), torch.zeros(1, 3))
