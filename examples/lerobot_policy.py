"""A checkpoint of LeRobot as a policy, which forearm trial judges beside others and beside other checkpoints:

    forearm trial RUN --data TEST --policy still examples/lerobot_policy.py:load:act/checkpoints/000500/pretrained_model

It needs LeRobot 0.6 or later in Forearm's environment (docs/beside-lerobot.md). The policy is asked at every step, as
lerobot-eval asks it: LeRobot's own select_action carries out a predicted chunk, and its own processors normalise.
"""

import contextlib
import io
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from forearm.base.errors import ForearmError

PICTURES, STATE = "observation.images.", "observation.state"
FILES = ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
"""What a checkpoint's folder has at least."""


class Checkpoint:
    """A policy of LeRobot.

    Args:
        path: of the checkpoint, as messages name it.
        policy: a `PreTrainedPolicy`, on its device.
        before: the pipeline of processors that an observation passes before the policy.
        after: the pipeline that an action passes after it.

    Attributes:
        seed: of what the policy draws, such as the noise of a diffusion policy. An ACT draws nothing.
    """

    def __init__(self, path: Path, policy: Any, before: Any, after: Any) -> None:
        self.path, self.policy, self.before, self.after, self.seed = path, policy, before, after, 0

    def reset(self) -> None:
        """Forget the actions that wait in the queue, and draw as the seed says from now on."""
        torch.manual_seed(self.seed)
        self.policy.reset()

    def check(self, observation: Mapping[str, Any]) -> None:
        """Refuse worlds in which the policy cannot act.

        A policy that allows for missing cameras (LeRobot's `empty_cameras`: SmolVLA, π₀) brings pictures to its own
        size, so one of its cameras is enough.

        Args:
            observation: of B worlds, as `act` gets it.

        Raises:
            ForearmError: the policy knows other cameras, sizes of pictures or joints.
        """
        renamed: dict[str, str] = {}
        for step in self.before.steps:
            renamed |= getattr(step, "rename_map", {})
        config = self.policy.config
        shown = {renamed.get(name, name): tuple(of.shape[1:]) for name, of in _tensors(observation).items()}
        wanted = {name: tuple(feature.shape) for name, feature in config.input_features.items()}
        cameras = {name for name in wanted if name.startswith(PICTURES)}
        if hasattr(config, "empty_cameras") and cameras & shown.keys():
            wanted = {name: shape for name, shape in wanted.items() if name not in cameras}
        wrong = {name: shape for name, shape in wanted.items() if shown.get(name) != shape}
        if wrong:
            raise ForearmError(f"{self.path} needs {_listed(wrong)}; the run shows {_listed(shown)}")

    def act(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next joint targets of B worlds, (B, 1, A) float32 in the units of the recordings."""
        config = self.policy.config
        batch = self.before({**_tensors(observation), "task": list(observation["task"])})
        mixed = torch.autocast(torch.device(config.device).type) if config.use_amp else contextlib.nullcontext()
        with torch.inference_mode(), mixed:
            action = self.policy.select_action(batch)
        return self.after(action).float().cpu().numpy()[:, None]


def load(path: str) -> Checkpoint:
    """The policy that a folder holds: ``pretrained_model``, or the folder of the step, which contains it.

    It acts on the device of its training where there is such a device, else on one that LeRobot chooses.

    Raises:
        ForearmError: the folder is no checkpoint, LeRobot cannot load it, or is not installed.
    """
    folder = Path(path)
    if (folder / "pretrained_model").is_dir():
        folder /= "pretrained_model"
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ForearmError(
            f"{folder} is no checkpoint of LeRobot 0.6, for it has no {missing[0]}; give a folder such as "
            "act/checkpoints/000500/pretrained_model"
        )
    try:
        from lerobot.configs import PreTrainedConfig
        from lerobot.policies import get_policy_class, make_pre_post_processors
        from lerobot.utils.import_utils import register_third_party_plugins
    except ImportError as error:
        raise ForearmError(
            f"LeRobot 0.6 or later is not installed beside Forearm ({error}); with Python 3.12 or later: pip install "
            "lerobot==0.6.1"
        ) from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # on which LeRobot says that it loads weights
            register_third_party_plugins()
            config = PreTrainedConfig.from_pretrained(folder)
            policy = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
            device = {"device_processor": {"device": str(config.device)}}
            before, after = make_pre_post_processors(config, str(folder), preprocessor_overrides=device)
    except (Exception, SystemExit) as error:  # of weights that do not fit, a line for each
        said = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        raise ForearmError(f"LeRobot cannot load {folder}: {said}") from error
    return Checkpoint(folder, policy, before, after)


def _tensors(observation: Mapping[str, Any]) -> dict[str, Tensor]:
    """What B worlds show as LeRobot has it: pictures (B, 3, h, w) float32 from 0 to 1, and joints (B, J) float32."""
    pictures = {
        name: torch.from_numpy(np.ascontiguousarray(of)).permute(0, 3, 1, 2).contiguous().float() / 255
        for name, of in observation.items()
        if name.startswith(PICTURES)
    }
    return {**pictures, STATE: torch.from_numpy(np.asarray(observation[STATE], np.float32))}


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Names of features with their shapes, such as ``observation.images.base (3 × 64 × 64)``."""
    return ", ".join(f"{name} ({' × '.join(map(str, shape))})" for name, shape in shapes.items())
