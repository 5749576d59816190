"""A simulated SO-101 in MuJoCo, and how its single actions and tasks are recorded."""

from typing import TYPE_CHECKING

from forearm.base.lazy import attach

if TYPE_CHECKING:
    from forearm.sim.dataset import record
    from forearm.sim.filming import change_of, film, settle
    from forearm.sim.names import CAMERAS, JOINTS
    from forearm.sim.protocol import record_episode
    from forearm.sim.settings import MODEL_SETTINGS, RecordingSettings
    from forearm.sim.simulator import Simulator

__all__ = [
    "CAMERAS",
    "JOINTS",
    "MODEL_SETTINGS",
    "RecordingSettings",
    "Simulator",
    "change_of",
    "film",
    "record",
    "record_episode",
    "settle",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "CAMERAS": "forearm.sim.names:CAMERAS",
        "JOINTS": "forearm.sim.names:JOINTS",
        "MODEL_SETTINGS": "forearm.sim.settings:MODEL_SETTINGS",
        "RecordingSettings": "forearm.sim.settings:RecordingSettings",
        "Simulator": "forearm.sim.simulator:Simulator",
        "change_of": "forearm.sim.filming:change_of",
        "film": "forearm.sim.filming:film",
        "record": "forearm.sim.dataset:record",
        "record_episode": "forearm.sim.protocol:record_episode",
        "settle": "forearm.sim.filming:settle",
    },
)
