"""Worlds in the form in which `lerobot-eval` steps environments."""

import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorWrapper

from forearm.base.errors import ForearmError
from forearm.recordings.features import CAMERA_PREFIX, STATE

Observation = dict[str, Any]


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """End the process with one line and exit code 2 where something is refused."""
    try:
        yield
    except ForearmError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


class LeRobotWorlds(VectorWrapper):
    """Observations as ``pixels`` and ``agent_pos``, and `call`, as LeRobot's other vector environments have them.

    When it is closed it logs how trials ended: LeRobot counts successes alone, not abstentions.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._ends: Counter[str] = Counter()
        self._info: dict[str, np.ndarray] = {}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self._count()
        with refusals():
            observation, self._info = self.env.reset(seed=seed, options=options)
        return _named(observation), self._info

    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        with refusals():
            observation, reward, terminated, truncated, self._info = self.env.step(actions)
        return _named(observation), reward, terminated, truncated, self._info

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What each world answers."""
        if name == "render":
            return self.env.render()
        if name == "_max_episode_steps":
            return (self.env.horizon,) * self.num_envs
        if name in ("task", "task_description"):
            return tuple(self._info["task"]) if self._info else ("",) * self.num_envs
        raise AttributeError(name)

    get_attr = call

    def close(self, **kwargs: Any) -> None:
        self._count()
        ends = ", ".join(f"{end} {count}" for end, count in sorted(self._ends.items()))
        if ends:
            logging.info("How trials ended: %s", ends)
        self._ends.clear()
        super().close(**kwargs)

    def _count(self) -> None:
        """Count how the trials ended that were under way; each is counted once."""
        if self._info:
            for succeeded, abstained in zip(self._info["is_success"], self._info["abstained"], strict=True):
                self._ends["success" if succeeded else "abstained" if abstained else "no success"] += 1
        self._info = {}


def _named(observation: dict[str, np.ndarray]) -> Observation:
    pixels = {name.removeprefix(CAMERA_PREFIX): value for name, value in observation.items() if name != STATE}
    return {"pixels": pixels, "agent_pos": observation[STATE]}
