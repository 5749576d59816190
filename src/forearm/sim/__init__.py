"""A simulated SO-101 in MuJoCo, and the protocol that records its single actions."""

from forearm.sim.film import change_of, film, settle
from forearm.sim.protocol import record_episode
from forearm.sim.record import record
from forearm.sim.settings import MODEL_SETTINGS, SingleActionSettings
from forearm.sim.simulator import CAMERAS, JOINTS, Simulator

__all__ = [
    "CAMERAS",
    "JOINTS",
    "MODEL_SETTINGS",
    "Simulator",
    "SingleActionSettings",
    "change_of",
    "film",
    "record",
    "record_episode",
    "settle",
]
