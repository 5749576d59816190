"""Canvases: transitions of a robot arm as images. NumPy only."""

from forearm.canvas.actions import Action, action_codes, counterfactual, dominant_dimensions
from forearm.canvas.draw import action_colours, draw, draw_separators, draw_strips
from forearm.canvas.fit import box_in_camera, cut_or_padded, scaled_size
from forearm.canvas.layout import (
    CODE_NAMES,
    CODES,
    MOVE_MINUS,
    MOVE_PLUS,
    PRESETS,
    STAY,
    ActionDimension,
    Camera,
    Fit,
    Joint,
    Layout,
    Preset,
)
from forearm.canvas.motion import action_seconds, driven_joints, plain, target_changes, trajectory
from forearm.canvas.observation import Observation, draw_frame, stack_pictures
from forearm.canvas.read import (
    as_float,
    as_uint8,
    decode_separator,
    decode_strip,
)

__all__ = [
    "CODES",
    "CODE_NAMES",
    "MOVE_MINUS",
    "MOVE_PLUS",
    "PRESETS",
    "STAY",
    "Action",
    "ActionDimension",
    "Camera",
    "Fit",
    "Joint",
    "Layout",
    "Observation",
    "Preset",
    "action_codes",
    "action_colours",
    "action_seconds",
    "as_float",
    "as_uint8",
    "box_in_camera",
    "counterfactual",
    "cut_or_padded",
    "decode_separator",
    "decode_strip",
    "dominant_dimensions",
    "draw",
    "draw_frame",
    "draw_separators",
    "draw_strips",
    "driven_joints",
    "plain",
    "scaled_size",
    "stack_pictures",
    "target_changes",
    "trajectory",
]
