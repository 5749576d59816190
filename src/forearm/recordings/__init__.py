"""LeRobot recordings: in from v2.0, v2.1 and v3.0 (a folder or a Hub id), out to v3.0."""

from typing import TYPE_CHECKING

from forearm.base.lazy import attach

if TYPE_CHECKING:
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

__getattr__, __dir__ = attach(
    __name__,
    {
        "DiscreteActionLog": "forearm.recordings.logs:DiscreteActionLog",
        "Episode": "forearm.recordings.episode:Episode",
        "EpisodeData": "forearm.recordings.staging:EpisodeData",
        "EpisodeInfo": "forearm.recordings.episodes:EpisodeInfo",
        "EpisodeUnreadable": "forearm.recordings.errors:EpisodeUnreadable",
        "Recorder": "forearm.recordings.recorder:Recorder",
        "Recording": "forearm.recordings.recording:Recording",
        "RecordingSpec": "forearm.recordings.features:RecordingSpec",
        "assemble": "forearm.recordings.writer:assemble",
        "lines_by_recording": "forearm.recordings.episode:lines_by_recording",
        "lines_of": "forearm.recordings.episode:lines_of",
        "open_recording": "forearm.recordings.recording:open_recording",
        "stage_episode": "forearm.recordings.staging:stage_episode",
        "staged_episodes": "forearm.recordings.staging:staged_episodes",
    },
)
