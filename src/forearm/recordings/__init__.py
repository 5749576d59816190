"""LeRobot recordings: in from v2.0, v2.1 and v3.0 (a folder or a Hub id), out to v3.0."""

from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.logs import DiscreteActionLog
from forearm.recordings.metadata import EpisodeInfo
from forearm.recordings.reader import Episode, Recording, open_recording
from forearm.recordings.writer import RecordingSpec, assemble, stage_episode, staged_episodes

__all__ = [
    "DiscreteActionLog",
    "Episode",
    "EpisodeInfo",
    "EpisodeUnreadable",
    "Recording",
    "RecordingSpec",
    "assemble",
    "open_recording",
    "stage_episode",
    "staged_episodes",
]
