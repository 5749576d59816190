"""Worlds to act in: imagined by a predictor, simulated, or recorded.

``simulated`` needs MuJoCo; it is imported by whoever uses it.
"""

from forearm.environment.environment import Environment
from forearm.environment.imagined import Imagined, ImaginedEnvironment, rollout, rollout_steps, squared_error
from forearm.environment.recorded import RecordedEnvironment

__all__ = [
    "Environment",
    "Imagined",
    "ImaginedEnvironment",
    "RecordedEnvironment",
    "rollout",
    "rollout_steps",
    "squared_error",
]
