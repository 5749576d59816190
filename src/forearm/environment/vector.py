"""Worlds as Gymnasium environments, in which policies are judged. Observations have LeRobot's names.

See docs/environment.md; `forearm.gym` opens what they are made of.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from forearm.base.errors import ForearmError
from forearm.environment.worlds import Seen, Worlds
from forearm.recordings.features import CAMERA_PREFIX, STATE

Success = Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]
"""Whether B worlds have done their task, (B,) bool, or a score in [0, 1], of which `DONE` is enough.

It is called after each step with pictures, plain camera name to (B, h, w, 3) uint8, and joint positions (B, J) float32.
If it has a method ``begin(starts)``, a reset calls that with the numbers (B,) of the episodes where the worlds begin.
"""
DONE = 0.5


class WorldVectorEnv(VectorEnv):
    """Several worlds, each with a trial of its own.

    A trial ends by success (terminated), by its horizon or by abstention (truncated). Then its world stays as it is,
    without reward, until it is reset: all are, or those of ``options["reset_mask"]`` (B,).

    ``options["starts"]`` (B,) says at which recorded episodes worlds begin; otherwise world i begins at number
    seed + i of ``starts``, counted around, and without a seed anywhere among them.

    Args:
        worlds: makes them.
        count: how many they are.
        success: ends trials; by default the worlds' own.
        horizon: steps of a trial at most; by default the worlds' own.
        most_expected_error: a larger one ends a trial by abstention.
        starts: numbers of the episodes at which worlds begin; by default the worlds' own.

    Raises:
        ForearmError: an argument is unsound.
    """

    def __init__(
        self,
        worlds: Worlds,
        count: int,
        success: Success | None = None,
        horizon: int | None = None,
        most_expected_error: float = math.inf,
        starts: Sequence[int] | None = None,
        render_mode: str | None = "rgb_array",
    ) -> None:
        if horizon is not None and horizon < 1:
            raise ForearmError(f"horizon is {horizon}; choose at least 1 step")
        if not most_expected_error > 0:
            raise ForearmError(f"most_expected_error is {most_expected_error:g}; choose one above 0, or inf for none")
        self.worlds, self.success, self.render_mode = worlds, success, render_mode
        self.horizon = horizon or worlds.horizon
        self.most_expected_error = most_expected_error
        self.starts = list(worlds.starts if starts is None else starts)
        if not self.starts:
            raise ForearmError("starts is empty; name the recorded episodes at which trials begin, or leave it out")
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": max(1, round(1 / worlds.seconds)),
            "autoreset_mode": AutoresetMode.DISABLED,
        }
        pictures = {
            CAMERA_PREFIX + name: spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in worlds.cameras.items()
        }
        state = spaces.Box(-np.inf, np.inf, (len(worlds.joints),), np.float32)
        self.num_envs = count
        self.single_observation_space = spaces.Dict({**pictures, STATE: state})
        self.single_action_space = spaces.Box(*worlds.command_bounds, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, count)
        self.action_space = batch_space(self.single_action_space, count)
        self._start = np.zeros(count, np.int64)
        self._steps = np.zeros(count, np.int64)
        self._score = np.zeros(count)
        self._error = np.zeros(count)
        self._terminated, self._truncated, self._abstained = np.zeros((3, count), bool)
        self._tasks = np.full(count, "", object)
        self._pictures = {name: np.zeros((count, *size, 3), np.uint8) for name, size in worlds.cameras.items()}
        self._positions = np.zeros((count, len(worlds.joints)), np.float32)
        self._begun = False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin trials; returns observations and info.

        Raises:
            ForearmError: there is no such start, or there are not as many starts or seeds as worlds.
        """
        options = options or {}
        super().reset(seed=seed if isinstance(seed, int) else next(iter(seed or ()), None))
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)), bool)
        worlds = np.flatnonzero(mask if self._begun else np.ones(self.num_envs, bool))
        self._start[worlds] = self._chosen(seed, options.get("starts"))[worlds]
        starts = self._start[worlds].tolist()
        seen = self.worlds.begin(worlds, starts)
        self._tasks[worlds] = seen.tasks
        for values in (self._steps, self._score, self._error, self._terminated, self._truncated, self._abstained):
            values[worlds] = 0
        self._begun = True
        self._show(worlds, seen)
        if (begin := getattr(self.success, "begin", None)) is not None:
            begin(self._start.copy())
        return self._observation(), self._info()

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Let all trials that have not ended go on for a step.

        Args:
            actions: (B, A) commands as in the recordings' ``action``.

        Returns:
            observations, rewards (B,) (1 on the step that succeeds), terminated (B,), truncated (B,), info.

        Raises:
            ForearmError: an action is not finite or of another shape, or nothing was begun.
        """
        actions = np.asarray(actions, np.float32)
        if not self._begun:
            raise ForearmError("the worlds have not begun; reset them before the first step")
        if actions.shape != self.action_space.shape or not np.isfinite(actions).all():
            what = f"of shape {actions.shape}" if actions.shape != self.action_space.shape else "not all finite"
            raise ForearmError(f"the actions are {what}; give {self.action_space.shape} finite numbers")
        going = np.flatnonzero(~(self._terminated | self._truncated))
        if len(going):
            seen = self.worlds.step(going, actions[going])
            self._show(going, seen)
            self._steps[going] += 1
            self._error[going] = seen.expected_error
            self._score[going] = self._scores(going, seen)
            self._terminated[going] = self._score[going] >= DONE
            self._abstained[going] = ~self._terminated[going] & (self._error[going] > self.most_expected_error)
            over = self._steps[going] >= self.horizon
            self._truncated[going] = ~self._terminated[going] & (over | self._abstained[going])
        reward = np.zeros(self.num_envs)
        reward[going] = self._terminated[going]
        return self._observation(), reward, self._terminated.copy(), self._truncated.copy(), self._info()

    def render(self) -> tuple[np.ndarray, ...]:
        """What each world shows, its cameras side by side or, where their heights differ, below each other."""
        sizes = {size[0] for size in self.worlds.cameras.values()}
        pictures = list(self._pictures.values())
        if len(sizes) > 1:
            widest = max(picture.shape[2] for picture in pictures)
            pictures = [np.pad(p, [(0, 0), (0, 0), (0, widest - p.shape[2]), (0, 0)]) for p in pictures]
        return tuple(np.concatenate(pictures, axis=2 if len(sizes) == 1 else 1))

    def close_extras(self, **kwargs: Any) -> None:
        """Free what the worlds hold."""
        self.worlds.close()

    def _chosen(self, seed: int | Sequence[int | None] | None, starts: Sequence[int] | None) -> np.ndarray:
        """The start of each world, (B,)."""
        if starts is not None:
            chosen = np.asarray(starts, np.int64).reshape(-1)
            if len(chosen) != self.num_envs:
                raise ForearmError(f"{len(chosen)} starts were given for {self.num_envs} worlds; give one for each")
            return chosen
        usual = np.array(self.starts)
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed or [None] * self.num_envs
        if len(seeds) != self.num_envs:
            raise ForearmError(
                f"{len(seeds)} seeds were given for {self.num_envs} worlds; give a number, or one for each"
            )
        drawn = self.np_random.integers(len(usual), size=self.num_envs)
        return usual[[number if s is None else s % len(usual) for s, number in zip(seeds, drawn, strict=True)]]

    def _show(self, worlds: np.ndarray, seen: Seen) -> None:
        for name, pictures in seen.pictures.items():
            self._pictures[name][worlds] = pictures
        self._positions[worlds] = seen.positions

    def _scores(self, worlds: np.ndarray, seen: Seen) -> np.ndarray:
        """How far the task is done in worlds (n,), from 0 to 1."""
        if self.success is None:
            return seen.done.astype(float)
        scores = np.asarray(self.success(self._pictures, self._positions), float)
        if scores.shape != (self.num_envs,) or not ((scores >= 0) & (scores <= 1)).all():
            raise ForearmError(f"success gives {scores.tolist()}; it has to give {self.num_envs} scores from 0 to 1")
        return scores[worlds]

    def _observation(self) -> dict[str, np.ndarray]:
        pictures = {CAMERA_PREFIX + name: pictures.copy() for name, pictures in self._pictures.items()}
        return {**pictures, STATE: self._positions.copy()}

    def _info(self) -> dict[str, Any]:
        return {
            "task": self._tasks.copy(),
            "start": self._start.copy(),
            "expected_error": self._error.copy(),
            "abstained": self._abstained.copy(),
            "score": self._score.copy(),
            "is_success": self._terminated.copy(),
        }


class WorldEnv(gymnasium.Env):
    """One of `WorldVectorEnv`'s worlds by itself."""

    def __init__(self, vector: WorldVectorEnv) -> None:
        self.vector = vector
        self.observation_space, self.action_space = vector.single_observation_space, vector.single_action_space
        self.metadata, self.render_mode = vector.metadata, vector.render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin; ``options["start"]`` says at which recorded episode."""
        super().reset(seed=seed)
        start = (options or {}).get("start")
        observation, info = self.vector.reset(seed=seed, options=None if start is None else {"starts": [start]})
        return _single(observation), _single(info)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As of the vector environment, of one world."""
        observation, reward, terminated, truncated, info = self.vector.step(np.asarray(action)[None])
        return _single(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), _single(info)

    def render(self) -> np.ndarray:
        """What the world shows, (h, w, 3) uint8."""
        return self.vector.render()[0]

    def close(self) -> None:
        self.vector.close()


def _single(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: value[0].item() if isinstance(value[0], np.generic) else value[0] for name, value in values.items()}
