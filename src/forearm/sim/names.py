"""What the simulated SO-101 has, by name. Imports nothing: settings are shown without MuJoCo."""

from typing import Literal

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
CAMERAS = ("base", "wrist")
UNITS = ("deg",) * 5 + ("%",)
PAN_AXIS = (0.0388, 0.0)
"""Where on the table the shoulder_pan joint turns, x and y in metres; as in so101.xml."""
PHYSICS_HZ = 300
"""Steps of the physics a second, a multiple of the usual frame rates, so that frames fall on them."""
CONTROL_HZ = 30
"""Targets that an expert sends a second."""
TaskName = Literal["push", "play", "lift", "place", "clutter", "obstacle"]
"""What can be recorded besides single actions."""
