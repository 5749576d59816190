"""LeRobot recordings: in from v2.0, v2.1 and v3.0 (a folder or a Hub id), out to v3.0."""

from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.features import RecordingSpec
from forearm.recordings.logs import DiscreteActionLog
from forearm.recordings.metadata import EpisodeInfo
from forearm.recordings.reader import Episode, Recording, open_recording
from forearm.recordings.recorder import Recorder
from forearm.recordings.staging import EpisodeData, stage_episode, staged_episodes
from forearm.recordings.writer import assemble

__all__ = [
    "DiscreteActionLog",
    "Episode",
    "EpisodeData",
    "EpisodeInfo",
    "EpisodeUnreadable",
    "Recorder",
    "Recording",
    "RecordingSpec",
    "assemble",
    "open_recording",
    "stage_episode",
    "staged_episodes",
]
