"""Episodes of a drawn arm, clean or with one defect planted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forearm.recordings import EpisodeData, Recorder, RecordingSpec

FPS, ROWS, EPISODES = 10, 90, 8
JOINTS, UNITS = ("pan", "lift", "gripper"), ("deg", "deg", "%")
CAMERAS = ("base", "wrist")


@dataclass
class Drawn:
    """One episode before anything is computed of it; a defect changes it in place."""

    index: int
    states: np.ndarray
    """(n, 3)"""
    pictures: dict[str, np.ndarray]
    """Camera to (n, 48, 64) uint8."""
    timestamps: np.ndarray
    """(n,) seconds."""


def clean_episodes(seed: int = 0) -> list[Drawn]:
    """Teleoperation from one pose to random ones; the pictures show the joints of the same row, with noise."""
    random = np.random.default_rng(seed)
    episodes = []
    for index in range(EPISODES):
        stops = np.concatenate([[[0, 20, 50]], random.uniform((-60, -30, 0), (60, 60, 100), (8, 3))])
        stops[0] += random.normal(0, 0.5, 3)
        at = np.concatenate([np.linspace(0, 80, 8), [ROWS - 1]])
        x = np.clip((np.arange(ROWS)[:, None] - at[:-1]) / np.diff(at), 0, 1)
        eased = x * x * (3 - 2 * x)
        states = stops[0] + eased @ np.diff(stops, axis=0) + random.normal(0, 0.03, (ROWS, 3))
        seconds = np.arange(ROWS) / FPS + random.uniform(-0.01, 0.01, ROWS)
        episodes.append(Drawn(index, states.astype(np.float32), draw_all(states, random), seconds))
    return episodes


def draw_all(states: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Both cameras' pictures of joint positions (n, 3): a bar for each joint."""
    across = np.linspace(-80, 120, 64)
    bars = [200 * np.exp(-(((across - joint[:, None]) / 12) ** 2)) for joint in states.T]
    picture = 30 + np.concatenate([np.repeat(bar[:, None], 16, axis=1) for bar in bars], axis=1)
    return {
        camera: np.clip(picture[:, ::flip] + random.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)
        for camera, flip in zip(CAMERAS, (1, -1), strict=True)
    }


def late(episodes: list[Drawn], rows: int) -> None:
    """Pictures of so many rows before."""
    for episode in episodes:
        for camera, pictures in episode.pictures.items():
            episode.pictures[camera] = pictures[np.clip(np.arange(ROWS) - rows, 0, ROWS - 1)]


def shaking(episodes: list[Drawn]) -> None:
    episodes[4].states[:, 1] += np.random.default_rng(1).normal(0, 4, ROWS)


def frozen(episodes: list[Drawn]) -> None:
    episodes[2].pictures["wrist"][30:60] = episodes[2].pictures["wrist"][30]


def slow_camera(episodes: list[Drawn]) -> None:
    for episode in episodes:
        episode.pictures["base"] = episode.pictures["base"][np.arange(ROWS) // 2 * 2]


def constant(episodes: list[Drawn]) -> None:
    for episode in episodes:
        episode.pictures["base"][:] = episodes[0].pictures["base"][0]


def black(episodes: list[Drawn]) -> None:
    episodes[3].pictures["base"][20:40] = 2


def empty(episodes: list[Drawn]) -> None:
    for episode in episodes:
        episode.pictures["wrist"][:] = 128


def idle(episodes: list[Drawn]) -> None:
    episodes[5].states[50:] = episodes[5].states[50] + np.random.default_rng(1).normal(0, 0.03, (ROWS - 50, 3))


def still(episodes: list[Drawn]) -> None:
    episodes[6].states[:] = episodes[6].states[0]


def still_joint(episodes: list[Drawn]) -> None:
    for episode in episodes:
        episode.states[:, 2] = 50


def spike(episodes: list[Drawn]) -> None:
    episodes[1].states[44, 0] += 40


def jump(episodes: list[Drawn]) -> None:
    episodes[1].states[44:, 0] += 360


def duplicate(episodes: list[Drawn]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (ROWS, 3))
    episodes[7].states[:] = episodes[2].states + noise
    episodes[7].pictures = {camera: pictures.copy() for camera, pictures in episodes[2].pictures.items()}


def miscalibrated(episodes: list[Drawn]) -> None:
    episodes[3].states[:, 1] += 45
    for episode in episodes:  # all make the same moves
        if episode.index != 3:
            episode.states[:, 1] = episodes[0].states[:, 1] + np.float32(0.3 * episode.index)
    episodes[3].states[:, 1] = episodes[0].states[:, 1] + 45


def dropped(episodes: list[Drawn]) -> None:
    episodes[0].timestamps[40:] += 0.3


def drifting(episodes: list[Drawn]) -> None:
    for episode in episodes:
        episode.timestamps *= 1.1


def backwards(episodes: list[Drawn]) -> None:
    episodes[0].timestamps[50:] -= 2


DEFECTS: dict[str, tuple[Callable[[list[Drawn]], None], set[int]]] = {
    "shaky": (shaking, {4}),
    "frozen_pictures": (frozen, {2}),
    "repeated_pictures": (slow_camera, set(range(EPISODES))),
    "constant_camera": (constant, set()),
    "black_pictures": (black, {3}),
    "empty_pictures": (empty, set(range(EPISODES))),
    "idle_ends": (idle, {5}),
    "still_episode": (still, {6}),
    "still_joints": (still_joint, set()),
    "spike": (spike, {1}),
    "jump": (jump, {1}),
    "near_duplicates": (duplicate, {2, 7}),
    "other_calibration": (miscalibrated, {3}),
    "dropped_rows": (dropped, {0}),
    "clock_drift": (drifting, set(range(EPISODES))),
    "backward_clock": (backwards, {0}),
    "late_pictures": (lambda episodes: late(episodes, 2), set()),
    "early_pictures": (lambda episodes: late(episodes, -2), set()),
}
"""Kind of finding to what plants the defect, and the episodes in which it is then found."""


def write_recording(path: Path, episodes: list[Drawn]) -> Path:
    """Write drawn episodes as a LeRobot v3.0 recording."""
    keys = {camera: f"observation.images.{camera}" for camera in CAMERAS}
    names = tuple(f"{joint}.pos" for joint in JOINTS)
    recorder = Recorder(path, RecordingSpec(FPS, names, names, dict.fromkeys(keys.values(), (48, 64)), units=UNITS), {})
    with recorder.recording():
        for episode in episodes:
            pictures = {
                keys[camera]: np.repeat(grey[..., None], 3, axis=3) for camera, grey in episode.pictures.items()
            }
            recorder.stage(episode.index, EpisodeData(FPS, episode.states, episode.states, pictures))
        recorder.finish()
    return path
