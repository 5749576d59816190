"""LeRobot's checkpoints as policies, with as little of LeRobot as the example touches."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from support.commands import error_of, files, forearm
from trials.worlds import films, start

from forearm.trials.policies import policy_named

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lerobot_policy.py"
BASE, WRIST, FRONT, STATE = *(f"observation.images.{name}" for name in ("base", "wrist", "front")), "observation.state"
FITTING = {BASE: (3, 8, 8), STATE: (2,)}
STARTS = [start(0, [5, 10]), start(1, [3, 30], task="go down")]


class Config(SimpleNamespace):
    """Of a policy: what LeRobot reads from ``config.json``."""

    @classmethod
    def from_pretrained(cls, folder):
        told = json.loads((folder / "config.json").read_text())
        features = {name: SimpleNamespace(shape=shape) for name, shape in told.pop("input_features").items()}
        return cls(**told, input_features=features, device="cpu", use_amp=False)


class Policy:
    """Predicts chunks of three actions and carries out two, as LeRobot's ACT does: each is a step above the state."""

    def __init__(self, config):
        self.config, self.queue, self.batches = config, [], []

    @classmethod
    def from_pretrained(cls, folder, *, config, strict):
        assert strict  # weights that are not those of the policy are no checkpoint
        assert (folder / "model.safetensors").is_file()
        if isinstance(config.noise, str):
            raise RuntimeError(config.noise)
        print("Loading weights from local directory")
        return cls(config)

    def reset(self):
        self.queue.clear()

    def select_action(self, batch):
        self.batches.append(batch)
        if not self.queue:
            chunk = batch[STATE][:, None] + torch.tensor([1.0, 2.0, 3.0])[:, None] + torch.randn(()) * self.config.noise
            self.queue.extend(chunk[:, :2].transpose(0, 1))
        return self.queue.pop(0)


class Before(list):
    """The processors before the policy: halve the state."""

    @property
    def steps(self):
        return [SimpleNamespace(), SimpleNamespace(rename_map=dict(self))]

    def __call__(self, observation):
        return {dict(self).get(name, name): of for name, of in observation.items()} | {STATE: observation[STATE] / 2}


def processors(config, path, preprocessor_overrides):
    assert Path(path).name == "pretrained_model"
    assert preprocessor_overrides == {"device_processor": {"device": "cpu"}}
    return Before(config.renamed), lambda action: 2 * action


@pytest.fixture
def lerobot(monkeypatch):
    for name, offered in (
        ("lerobot", {}),
        ("lerobot.utils", {}),
        ("lerobot.configs", {"PreTrainedConfig": Config}),
        (
            "lerobot.policies",
            {"get_policy_class": lambda name: {"act": Policy}[name], "make_pre_post_processors": processors},
        ),
        ("lerobot.utils.import_utils", {"register_third_party_plugins": lambda: None}),
    ):
        module = ModuleType(name)
        vars(module).update(offered)
        monkeypatch.setitem(sys.modules, name, module)


def checkpoint(folder, features=FITTING, **told):
    """Write a checkpoint; returns how forearm trial names it."""
    folder = folder / "000500" / "pretrained_model"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"):
        (folder / name).touch()
    told = {"type": "act", "input_features": features, "noise": 0, "renamed": []} | told
    (folder / "config.json").write_text(json.dumps(told))
    return f"{EXAMPLE}:load:{folder}"


def tried(run, folder, *policies):
    return forearm("trial", run.path, "--policy", *policies, "--out", folder / "t", "--device", "cpu")


def test_lerobots_own_queue_and_processors_say_what_is_commanded(lerobot, tmp_path, capsys):
    policy = policy_named(checkpoint(tmp_path), STARTS)
    went = films(policy, STARTS, 4)
    # from 0: (0 / 2 + 1) · 2, then (0 / 2 + 2) · 2 of the same chunk, then a chunk that begins at 4
    assert [film.positions[:, 0].tolist() for film in went] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    first = policy.policy.batches[0]
    assert set(first) == {BASE, WRIST, STATE, "task"}
    assert first["task"] == ["go up", "go down"]
    for of, name in ((went[0].pictures["base"], BASE), (went[0].pictures["wrist"], WRIST)):
        batch = policy.policy.batches[3][name]
        assert batch.shape == (2, 3, 8, 8)
        assert batch.dtype == torch.float32
        np.testing.assert_allclose(batch[0].permute(1, 2, 0), of[3] / 255)
    assert policy.policy.batches[3][STATE].tolist() == [[3, 3], [3.5, 3.5]]
    assert not capsys.readouterr().out


def test_trials_that_begin_carry_no_chunk_on(lerobot, tmp_path):
    policy = policy_named(checkpoint(tmp_path).removesuffix("/pretrained_model"), STARTS)  # the step's folder is enough
    assert films(policy, STARTS, 1)[1].positions[:, 0].tolist() == [1, 3]
    assert films(policy, STARTS, 1)[1].positions[:, 0].tolist() == [1, 3]


def test_what_a_policy_draws_is_its_seeds(lerobot, tmp_path):
    name = checkpoint(tmp_path, noise=1)
    once, again, other = (films(policy_named(name, STARTS, seed), STARTS)[0].commands for seed in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize(
    "told",
    [
        {
            "features": {**FITTING, "observation.images.front": (3, 8, 8)},
            "renamed": [(WRIST, "observation.images.front")],
        },
        {"features": {**FITTING, "observation.images.third": (3, 480, 640)}, "empty_cameras": 0},
        {"features": {BASE: (3, 480, 640), STATE: (2,)}, "empty_cameras": 0},
    ],
)
def test_cameras_may_be_renamed_and_missing_where_lerobot_allows_for_it(lerobot, tmp_path, told):
    policy = policy_named(checkpoint(tmp_path, **told), STARTS)
    policy.check({BASE: np.zeros((1, 8, 8, 3), np.uint8), WRIST: np.zeros((1, 8, 8, 3), np.uint8), STATE: [[0, 0]]})


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            {"features": {**FITTING, "observation.images.front": (3, 8, 8)}},
            "needs observation.images.front (3 × 8 × 8);",
        ),
        ({"features": {BASE: (3, 480, 640), STATE: (2,)}}, "needs observation.images.base (3 × 480 × 640);"),
        ({"features": {BASE: (3, 8, 8), STATE: (6,)}}, "needs observation.state (6); the run shows"),
        ({"features": {**FITTING, "observation.environment_state": (9,)}}, "needs observation.environment_state (9);"),
        ({"features": {FRONT: (3, 8, 8)}, "empty_cameras": 0}, "needs observation.images.front"),
        ({"type": "no policy"}, "000500/pretrained_model: KeyError: 'no policy'"),
        ({"noise": "\n".join(400 * ["size mismatch"])}, "RuntimeError: size mismatch size mismatch"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_is_tried(
    lerobot, commanded_run, tmp_path, monkeypatch, told, says
):
    monkeypatch.setattr("forearm.trials.trial.try_out", lambda *args, **named: pytest.fail("something was tried"))
    refused = tried(commanded_run, tmp_path, "replay", checkpoint(tmp_path / "act", **told))
    assert says in error_of(refused)
    assert "000500" in error_of(refused)
    assert len(error_of(refused)) < 900
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "policy_preprocessor.json"])
def test_a_folder_that_is_no_checkpoint_is_refused(commanded_run, tmp_path, missing):
    name = checkpoint(tmp_path)
    next(tmp_path.rglob(missing)).unlink()
    refused = tried(commanded_run, tmp_path, name)
    assert f"is no checkpoint of LeRobot 0.6, for it has no {missing}; give a folder such as" in error_of(refused)


def test_without_lerobot_a_line_says_what_to_install(commanded_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lerobot", None)
    name = checkpoint(tmp_path)
    before = files(tmp_path)
    refused = tried(commanded_run, tmp_path, name)
    assert "pip install lerobot==0.6.1" in error_of(refused)
    assert files(tmp_path) == before
