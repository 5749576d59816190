"""LeRobot recordings: in from v2.0, v2.1 and v3.0 (a folder or a Hub id), out to v3.0."""

from forearm.recordings.episode import Episode, lines_by_recording, lines_of
from forearm.recordings.episodes import EpisodeInfo
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.features import RecordingSpec
from forearm.recordings.logs import DiscreteActionLog
from forearm.recordings.recorder import Recorder
from forearm.recordings.recording import Recording, open_recording
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
    "lines_by_recording",
    "lines_of",
    "open_recording",
    "stage_episode",
    "staged_episodes",
]
