"""What ``--env.`` may say."""

from dataclasses import dataclass, field

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION

from forearm.base.errors import ForearmError
from forearm.environment.vector import WorldVectorEnv
from forearm.gym import imagined_vector, simulated_vector
from forearm.recordings.features import STATE
from forearm.training.run import Run
from lerobot_env_forearm.success import Judged
from lerobot_env_forearm.vector import LeRobotWorlds, refusals


@EnvConfig.register_subclass("forearm")
@dataclass
class ForearmEnv(EnvConfig):
    """What a run imagines, or the simulator's task, with pictures, joints, commands and rate of the recordings."""

    run: str | None = None
    """The run that imagines."""
    data: str | None = None
    """The dataset in whose episodes trials begin; by default that of the run."""
    recording: str | None = None
    """The simulator instead: the recording in whose episodes' states trials begin."""
    success: str = "auto"
    """Who says that an imagined trial succeeded, as of `forearm trial`: `auto`, `object`, `picture`, `learned`, or
    `FILE.py:FUNCTION`, for example. The simulator knows by itself."""
    starts: list[int] = field(default_factory=list)
    """Numbers of the episodes at which trials begin, in turn; by default all that the run was not trained on, or all of
    the recording."""
    horizon: int | None = None
    """Steps of a trial at most."""
    most_expected_error: float | None = None
    """A larger expected error of a picture ends a trial by abstention; by default what 95 % of the run's validation
    episodes stay below where the run imagines them."""

    def __post_init__(self) -> None:
        with refusals():
            if (self.run is None) == (self.recording is None):
                raise ForearmError(
                    "give --env.run to judge in what a run imagines, or --env.recording in the simulator"
                )
            if self.recording and (self.data or self.most_expected_error is not None):
                raise ForearmError("--env.data and --env.most_expected_error go with --env.run")
            worlds = self._worlds(1)
        self.fps = worlds.metadata["render_fps"]
        spaces = worlds.single_observation_space.spaces
        self.features = {
            name: PolicyFeature(FeatureType.STATE if name == STATE else FeatureType.VISUAL, space.shape)
            for name, space in spaces.items()
        }
        self.features[ACTION] = PolicyFeature(FeatureType.ACTION, worlds.single_action_space.shape)
        self.features_map = {name: name for name in self.features}
        worlds.close()

    @property
    def gym_kwargs(self) -> dict[str, object]:
        """What both kinds of world are made of."""
        return {"horizon": self.horizon, "starts": self.starts or None}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, LeRobotWorlds]]:
        """All worlds side by side; they need no processes of their own."""
        with refusals():
            return {self.type: {0: LeRobotWorlds(self._worlds(n_envs))}}

    def _worlds(self, count: int) -> WorldVectorEnv:
        if self.recording is not None:
            return simulated_vector(count, recording=self.recording, **self.gym_kwargs)
        assert self.run is not None
        bound = {"most_expected_error": self.most_expected_error}
        worlds = imagined_vector(self.run, self.data, count, **bound, **self.gym_kwargs)
        worlds.success = Judged(self.success, Run.open(self.run).data(), worlds)
        return worlds
