"""The distribution by which LeRobot finds Forearm's worlds, with as little of LeRobot as it touches."""

import enum
import logging
import sys
import tomllib
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from support.tiny import make_layout

from forearm.trials import scoring
from forearm.trials.starts import ObjectTask, read_starts

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
    monkeypatch.setattr(EnvConfig, "known", {})
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


class Raised:
    """A classifier that takes every object for raised."""

    of_objects, layout = True, make_layout()

    def probability(self, first, now, boxes):
        return np.ones(len(now))


@pytest.mark.parametrize("lifts", [True, False])
def test_by_default_each_start_is_judged_as_forearm_trial_judges_it(lerobot, run, monkeypatch, lifts):
    """Where an object is read to be says nothing about a lift, nor anything where the run knows of no objects."""
    judging = sys.modules["lerobot_env_forearm.success"]
    lift = ObjectTask(0, np.zeros(3), np.array([0, 0, 0.1]), np.zeros((2, 4)), np.zeros((2, 2)))
    told = lambda *of: [replace(start, object=lift if lifts else None) for start in read_starts(*of)]  # noqa: E731
    monkeypatch.setattr(judging, "read_starts", told)
    monkeypatch.setattr(scoring, "classifier_of", lambda data: Raised())
    monkeypatch.setattr(scoring.PictureScorer, "scores", lambda self, films: np.zeros(len(films)))
    worlds = lerobot(run=str(run.path), most_expected_error=np.inf).create_envs(n_envs=2)["forearm"][0]
    worlds.reset(seed=0)
    *_, info = worlds.step(np.zeros((2, 2), np.float32))
    assert info["is_success"].tolist() == [lifts, lifts]


def test_a_start_that_there_is_not_is_refused_in_a_line(lerobot, run, capsys):
    worlds = lerobot(run=str(run.path), starts=[99]).create_envs(n_envs=1)["forearm"][0]
    with pytest.raises(SystemExit):
        worlds.reset(seed=0)
    assert "has no episode 99" in capsys.readouterr().err


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
