"""A simulated SO-101 in MuJoCo, and the protocol that records its single actions."""

from forearm.sim.protocol import SingleActionSettings, perform, perform_all, record, record_episode, settle
from forearm.sim.simulator import CAMERAS, JOINTS, Simulator, Snapshot

__all__ = [
    "CAMERAS",
    "JOINTS",
    "Simulator",
    "SingleActionSettings",
    "Snapshot",
    "perform",
    "perform_all",
    "record",
    "record_episode",
    "settle",
]
