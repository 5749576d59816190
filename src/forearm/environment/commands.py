"""From what a policy commands to the action values that a model knows, exactly as `forearm build` made them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.transitions import TransitionSet


class Commands:
    """What stands in the ``action`` column of a dataset's recordings, as action values.

    A command is held for one step of the dataset.

    Args:
        data: built with ``--actions command``.

    Raises:
        ForearmError: the dataset's actions are no commands, or nobody knows which command they were.
    """

    def __init__(self, data: TransitionSet) -> None:
        layout = self.layout = data.layout
        if layout.action_is is None or layout.discrete:
            what = "single logged actions" if layout.discrete else "how joints changed, not what they were commanded"
            raise ForearmError(
                f"the actions of {data.path} are {what}, so a policy's commands mean nothing to a model of them; "
                "build with --actions command and train on that"
            )
        if layout.action_duration is None:
            raise ForearmError(f"{data.path} does not say how long a step lasts; build it anew")
        self.seconds = layout.action_duration
        self._joints = layout.joint_of_dimension()
        self._scales = np.array([dimension.scale for dimension in layout.actions])
        self._zeros = np.array([dimension.zero for dimension in layout.actions])
        self._offsets = [self._offsets_of(data, episode["recording"]) for episode in data.episodes]
        rates = {recording.get("fps", 1 / self.seconds) for recording in data.facts["recordings"]}
        if layout.action_is == "delta" and len(rates) > 1:
            raise ForearmError(f"{data.path} is of recordings with several rates; build them apart to act by deltas")
        self._rows = round(self.seconds * rates.pop())

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest command of each dimension that a model tells from others, (A,) float32 each."""
        layout, reach = self.layout, self._scales / self._of_command
        low, high = self._zeros - reach, self._zeros + reach
        if layout.action_is == "target":
            low = np.where(self._joints >= 0, layout.lows[self._joints] - reach, low)
            high = np.where(self._joints >= 0, layout.highs[self._joints] + reach, high)
        return low.astype(np.float32), high.astype(np.float32)

    def values(self, commands: np.ndarray, positions: np.ndarray, episodes: Sequence[int]) -> np.ndarray:
        """Action values (B, A) float32 in [−1, 1]; what goes beyond is cut off, as in training.

        Args:
            commands: (B, A) in the units of the recordings.
            positions: (B, J) where the joints are.
            episodes: of the dataset, (B,), from which the worlds begin.
        """
        meant = commands.astype(np.float64) * self._of_command
        if self.layout.action_is == "target":
            offsets = np.stack([self.offsets(episode) for episode in episodes])
            meant = np.where(self._joints >= 0, commands - offsets - positions[:, self._joints], meant)
        return np.clip((meant - self._zeros) / self._scales, -1, 1).astype(np.float32)

    def targets(self, actions: np.ndarray, positions: np.ndarray, episode: int) -> np.ndarray:
        """The commands behind a dataset's actions of targets, (n, A): what `values` makes action values of.

        Args:
            actions: (n, A) as the dataset stores them, in the dimensions' units.
            positions: (n, J) where the joints were.
            episode: of the dataset.
        """
        of_joints = actions + self.offsets(episode) + positions[:, self._joints]
        return np.where(self._joints >= 0, of_joints, actions + self._zeros)

    def offsets(self, episode: int) -> np.ndarray:
        """How far the targets of an episode of the dataset lie beside the states, (A,) in the joints' units."""
        return self._offsets[episode]

    @property
    def _of_command(self) -> np.ndarray:
        """What a command of 1 that is held for a step amounts to, (A,); as `transitions.meaning.taken` sums it up."""
        held = {"target": 1.0, "delta": self._rows, "velocity": self.seconds}[self.layout.action_is or "target"]
        return np.where(self._joints >= 0, held, 1.0)

    def _offsets_of(self, data: TransitionSet, name: str) -> np.ndarray:
        """How far the targets of a recording lie beside the states, (A,)."""
        named: list[dict[str, Any]] = [each for each in data.facts["recordings"] if each["name"] == name]
        unsaid = not named or any("offsets" not in each for each in named)
        offsets = {tuple(each.get("offsets") or [0.0] * len(self._scales)) for each in named}
        unsaid = unsaid and "taken off" in data.facts.get("commands", "")
        if unsaid or any(len(each) != len(self._scales) for each in offsets):
            raise ForearmError(f"{data.path} does not say how far targets lie beside the states; build it anew")
        if len(offsets) > 1:
            raise ForearmError(
                f"{data.path} is of several recordings called {name}, whose targets lie otherwise beside the states; "
                "rename one of them and build it anew"
            )
        return np.array(offsets.pop() if offsets else [0.0] * len(self._scales))
