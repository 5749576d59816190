"""Joints as the numbers that every family is given."""

import dataclasses

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.canvases import noise
from support.tiny import make_layout

from forearm.canvas import Joint
from forearm.models.joints import FARTHEST, JointNumbers, JointState

UNMOVED = make_layout(joints=(Joint("pan", "deg", -45, 45, 15), Joint("lift", "%", 2.999, 3.001, 0.001)))
"""Nobody saw the second joint move, and no other one has its unit."""


def numbers_at(pan: float, lift: float) -> tuple[torch.Tensor, JointState]:
    batch, numbers = noise(UNMOVED), JointNumbers(UNMOVED)
    positions = torch.tensor([pan, lift]).expand(2, UNMOVED.history, 2).contiguous()
    batch = dataclasses.replace(batch, positions=positions, actions=torch.zeros_like(batch.actions))
    inputs = numbers.inputs(batch)
    return inputs, numbers.state(batch, inputs, torch.zeros(2, 2))


@given(pan=st.floats(-400, 400), lift=st.floats(-200, 200))
def test_wherever_joints_are_their_numbers_are_no_larger_than_what_a_model_can_have_learned(pan, lift):
    inputs, state = numbers_at(pan, lift)
    smooth = JointNumbers(UNMOVED).smooth(torch.tensor([[pan, lift]]))
    for values in (inputs, state.conditioning, state.smooth, state.sharp, smooth):
        assert values.abs().max() <= FARTHEST


@given(share=st.floats(-1, 1))
def test_within_their_bounds_joints_are_scaled_and_nothing_else(share):
    inputs, state = numbers_at(45 * share, 3.0)
    np.testing.assert_allclose(inputs[0, 0], share, atol=1e-6)
    np.testing.assert_allclose(state.smooth[0, 0, 0], share, atol=1e-6)
