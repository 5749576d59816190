"""Canvases: moments of a robot's life as pictures. NumPy only; knows no other room."""

from forearm.canvas.actions import Action, action_codes, counterfactual, dominant_dimensions
from forearm.canvas.draw import action_colours, draw, draw_separators, draw_strips
from forearm.canvas.layout import (
    CODE_NAMES,
    CODES,
    MOVE_MINUS,
    MOVE_PLUS,
    PRESETS,
    STAY,
    ActionDimension,
    Camera,
    Joint,
    Layout,
    Preset,
    preset_layout,
)
from forearm.canvas.motion import driven_joints, plain, target_changes, trajectory
from forearm.canvas.observation import Observation, draw_frame, stack_pictures
from forearm.canvas.read import (
    Moments,
    as_float,
    as_uint8,
    decode,
    decode_separator,
    decode_strip,
    fit_bounds,
    strip_greys,
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
    "Joint",
    "Layout",
    "Moments",
    "Observation",
    "Preset",
    "action_codes",
    "action_colours",
    "as_float",
    "as_uint8",
    "counterfactual",
    "decode",
    "decode_separator",
    "decode_strip",
    "dominant_dimensions",
    "draw",
    "draw_frame",
    "draw_separators",
    "draw_strips",
    "driven_joints",
    "fit_bounds",
    "plain",
    "preset_layout",
    "stack_pictures",
    "strip_greys",
    "target_changes",
    "trajectory",
]
