"""What a model imagines, as worlds in which policies act."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction, Predictor, present
from forearm.canvas import Observation, as_uint8
from forearm.environment.commands import Commands
from forearm.environment.worlds import Seen
from forearm.transitions import TransitionSet

LONGEST = 200
"""Steps that an episode is imagined at most, to find what error is expected of it."""


class ImaginedWorlds:
    """Worlds that a model imagines, all of them in one batched prediction a step.

    Args:
        predictor: on ``device``, for the layout of ``data``.
        data: transitions of commands, in whose episodes trials begin.
        held_out: rows of ``data`` in whose episodes trials usually begin; without any, in any episode.
        count: how many worlds.
        device: where to predict.

    Raises:
        ForearmError: the data's actions are no commands.
    """

    def __init__(
        self, predictor: Predictor, data: TransitionSet, held_out: np.ndarray, count: int = 1, device: str = "cpu"
    ) -> None:
        self.predictor, self.data, self.device = predictor, data, device
        self.commands = Commands(data)
        layout = self.layout = data.layout
        self.cameras = {camera.name: (camera.height, camera.width) for camera in layout.cameras}
        self.joints, self.command_bounds = layout.joint_names, self.commands.bounds
        self.seconds = self.commands.seconds
        self._ends = _ends_of_episodes(self.data)
        self.episodes = _numbered(data, list(self._ends))
        """Numbers of episodes, as worlds begin with them, to the episodes of the dataset."""
        chosen = set(data.columns.episodes[held_out].tolist())
        usual = [number for number, episode in self.episodes.items() if episode in chosen]
        self.starts = usual or list(self.episodes)
        a_step = np.median(np.diff(self.data.columns.frames, axis=1))
        self.horizon = int(np.ceil(max(last - first for first, last in self._ends.values()) / a_step))
        self._begun = np.full(count, next(iter(self._ends)))
        self._now = present(layout, self._first(int(self._begun[0]))).repeated(count)
        self._carried: dict[str, Tensor] = {}
        self._fresh = np.ones(count, bool)

    @torch.inference_mode()
    def begin(self, worlds: np.ndarray, starts: Sequence[int]) -> Seen:
        for world, start in zip(worlds.tolist(), starts, strict=True):
            self._begun[world] = episode = self._episode(start)
            self._put(np.array([world]), present(self.layout, self._first(episode)))
        self._fresh[worlds] = True
        return self._seen(worlds, self._now[worlds].known())

    @torch.inference_mode()
    def step(self, worlds: np.ndarray, commands: np.ndarray) -> Seen:
        positions = self._now.positions[worlds, -2].numpy()
        values = torch.from_numpy(self.commands.values(commands, positions, self._begun[worlds].tolist()))
        fresh = self._fresh[worlds]
        if fresh.all() or not fresh.any():
            return self._seen(worlds, self._stepped(worlds, values))
        apart = [np.flatnonzero(rows) for rows in (fresh, ~fresh)]  # what begins has nothing carried over
        whole = Prediction.concatenate([self._stepped(worlds[rows], values[rows]) for rows in apart])
        return self._seen(worlds, whole[np.argsort(np.concatenate(apart))])

    @torch.inference_mode()
    def expects_errors(self) -> bool:
        """Whether the model says what error it expects: asked of the first transition."""
        return (
            self.predictor.predict(self.data.batch(np.zeros(1, int)).context().to(self.device)).expected_error
            is not None
        )

    def close(self) -> None:
        """Nothing is held."""

    def _stepped(self, worlds: np.ndarray, values: Tensor) -> Prediction:
        """What worlds (n,) show after action values (n, A); there they then are. All of them begin, or none."""
        fresh, every = bool(self._fresh[worlds[0]]), self._are_all(worlds)
        now = self._now if every else self._now[worlds]
        carried = {name: kept if every else kept[worlds] for name, kept in self._carried.items()}
        now = replace(now, carried=None if fresh or not carried else carried)
        context = now.with_action(values, values.abs().argmax(dim=1))
        prediction = self.predictor.predict(context.to(self.device)).to("cpu")
        self._put(worlds, context.then(prediction, torch.zeros_like(values), context.dimensions))
        self._fresh[worlds] = False
        return prediction

    def _put(self, worlds: np.ndarray, batch: Batch) -> None:
        """Let worlds be where a batch says."""
        if self._are_all(worlds):
            self._now, self._carried = replace(batch, carried=None), dict(batch.carried or {})
            return
        for name in ("canvas", "positions", "actions", "dimensions"):
            getattr(self._now, name)[worlds] = getattr(batch, name)
        for name, given in (batch.carried or {}).items():
            if name not in self._carried:
                self._carried[name] = given.new_zeros(len(self._fresh), *given.shape[1:])
            self._carried[name][worlds] = given

    def _are_all(self, worlds: np.ndarray) -> bool:
        """Whether these are all worlds, in order."""
        return np.array_equal(worlds, np.arange(len(self._fresh)))

    def _seen(self, worlds: np.ndarray, prediction: Prediction) -> Seen:
        layout = self.layout
        pictures = as_uint8(prediction.frame[:, :, : layout.frame_height].permute(0, 2, 3, 1).numpy())
        error = prediction.expected_error
        count = len(prediction)
        return Seen(
            {
                camera.name: np.ascontiguousarray(pictures[:, rows, columns])
                for camera, (rows, columns) in zip(layout.cameras, layout.camera_boxes(), strict=True)
            },
            prediction.joints(layout).numpy().astype(np.float32),
            np.full(count, np.nan) if error is None else error.mean(dim=(1, 2)).numpy().astype(np.float64),
            np.zeros(count, bool),
            [str(self.data.episodes[episode].get("task") or "") for episode in self._begun[worlds]],
        )

    def _episode(self, start: int) -> int:
        if start not in self.episodes:
            numbers = sorted(self.episodes)
            raise ForearmError(
                f"{self.data.path} has no episode {start}; its {len(numbers)} episodes are numbered from {numbers[0]} "
                f"to {numbers[-1]}"
            )
        return self.episodes[start]

    def _first(self, episode: int) -> Observation:
        frame, _ = self._ends[episode]
        return Observation(np.asarray(self.data.frames[frame]), np.asarray(self.data.states[frame]))


def _ends_of_episodes(data: TransitionSet) -> dict[int, tuple[int, int]]:
    """Each episode that has transitions, with its first and last frame."""
    used = data.columns.frames_by_episode()
    return {episode: (int(frames[0]), int(frames[-1])) for episode, frames in used.items()}


def _numbered(data: TransitionSet, episodes: Sequence[int]) -> dict[int, int]:
    """Episodes of a dataset by the numbers that their recording gives them, or in order where there are several."""
    numbers = [int(data.episodes[episode]["index"]) for episode in episodes]
    return dict(zip(numbers if len(set(numbers)) == len(numbers) else episodes, episodes, strict=True))


def largest_expected_errors(model: Predictor, data: TransitionSet, rows: np.ndarray, device: str) -> np.ndarray | None:
    """Of imagined episodes that begin with the transitions ``rows`` (n,), (n,); None where the model says none."""
    largest, going = np.zeros(len(rows)), np.arange(len(rows))
    context = data.batch(rows).context().to(device)
    for _ in range(LONGEST):
        prediction = model.predict(context)
        if prediction.expected_error is None:
            return None
        expected = prediction.expected_error.mean(dim=(1, 2)).double().cpu().numpy()
        largest[going] = np.maximum(largest[going], expected)
        goes_on = data.followers[rows] >= 0
        if not goes_on.any():
            break
        rows, going = data.followers[rows[goes_on]], going[goes_on]
        taken = data.batch(rows).to(device)
        context = context[goes_on].then(prediction[goes_on], taken.actions[:, -1], taken.dimensions)
    return largest
