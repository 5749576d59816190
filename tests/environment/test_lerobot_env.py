"""The distribution by which LeRobot finds Forearm's worlds, with as little of LeRobot as it touches."""

import enum
import logging
import sys
import tomllib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "lerobot_env_forearm"


class FeatureType(enum.Enum):
    STATE = "STATE"
    VISUAL = "VISUAL"
    ACTION = "ACTION"


class PolicyFeature(NamedTuple):
    type: FeatureType
    shape: tuple[int, ...]


@dataclass
class EnvConfig:
    """LeRobot 0.6's fields."""

    known: ClassVar[dict[str, type]] = {}
    task: str | None = None
    fps: int = 30
    features: Any = None
    features_map: Any = None
    type: ClassVar[str] = "forearm"

    @classmethod
    def register_subclass(cls, name):
        return lambda subclass: cls.known.setdefault(name, subclass)


@pytest.fixture
def lerobot(monkeypatch):
    for name, offered in (
        ("lerobot", {}),
        ("lerobot.envs", {}),
        ("lerobot.utils", {}),
        ("lerobot.configs", {"FeatureType": FeatureType, "PolicyFeature": PolicyFeature}),
        ("lerobot.envs.configs", {"EnvConfig": EnvConfig}),
        ("lerobot.utils.constants", {"ACTION": "action"}),
    ):
        module = ModuleType(name)
        vars(module).update(offered)
        monkeypatch.setitem(sys.modules, name, module)
    name = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    assert name.startswith("lerobot_env_")  # by which LeRobot finds it, and which it imports
    monkeypatch.syspath_prepend(FOLDER / "src")
    for loaded in [each for each in sys.modules if each.startswith("lerobot_env_")]:
        monkeypatch.delitem(sys.modules, loaded)
    import_module(name)
    return EnvConfig.known["forearm"]


def test_lerobot_judges_in_it(lerobot, run, caplog):
    config = lerobot(run=str(run.path), success="picture", horizon=2, most_expected_error=np.inf)
    assert config.fps == 5
    assert config.features["observation.images.base"] == (FeatureType.VISUAL, (8, 8, 3))
    assert config.features["observation.state"] == (FeatureType.STATE, (2,))
    assert config.features["action"] == (FeatureType.ACTION, (2,))
    assert config.features.keys() == config.features_map.keys()
    worlds = config.create_envs(n_envs=2)["forearm"][0]
    observation, _ = worlds.reset(seed=[1000, 1001], options={"lerobot_new_rollout": True})
    assert {name: each.shape for name, each in observation["pixels"].items()} == {
        "base": (2, 8, 8, 3),
        "wrist": (2, 8, 8, 3),
    }
    assert observation["agent_pos"].shape == (2, 2)
    assert worlds.call("_max_episode_steps") == (2, 2)
    assert worlds.call("task_description") == worlds.get_attr("task") == ("", "")
    assert np.stack(worlds.call("render")).shape == (2, 8, 16, 3)
    assert worlds.unwrapped.metadata["render_fps"] == 5
    with pytest.raises(AttributeError):
        worlds.call("nothing")
    for _ in range(2):
        _, _, terminated, truncated, info = worlds.step(np.zeros((2, 2), np.float32))
    assert (terminated | truncated).all()
    with caplog.at_level(logging.INFO):
        worlds.close()
    succeeded = int(info["is_success"].sum())
    ends = [f"{end} {count}" for end, count in (("no success", 2 - succeeded), ("success", succeeded)) if count]
    assert f"How trials ended: {', '.join(ends)}" in caplog.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "give --env.run"),
        ({"run": "a", "recording": "b"}, "give --env.run"),
        ({"recording": "b", "data": "c"}, "go with --env.run"),
        ({"run": "nowhere"}, "nowhere is no run"),
    ],
)
def test_what_is_refused_is_told_in_a_line(lerobot, settings, words, capsys):
    with pytest.raises(SystemExit) as ended:
        lerobot(**settings)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
