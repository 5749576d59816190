"""Discrete-action logs: which single action was decided at which frame of an episode."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError
from forearm.base.files import read_json_lines, writing
from forearm.recordings.folder import Folder, whole

STAY, MOVE_UP, MOVE_DOWN = 0, 1, 2
LOG_FOLDER = Path("meta/discrete_action_logs")
MOST = 1e6
"""Seconds of an action, and units that a joint moves in one."""
HEADER_KEYS = ("type", "joint_name", "action_duration", "position_delta")


@dataclass(frozen=True)
class DiscreteActionLog:
    """The decisions of one episode: every ``action_duration`` seconds one joint stays or moves.

    Attributes:
        joint_name: the joint that acts, named as in the state, such as ``shoulder_pan.pos``.
        action_duration: seconds from a decision to its outcome.
        position_delta: how far MOVE+ and MOVE− go, in the units of the state.
        decisions: (frame_index, code) in recording order; codes are 0 STAY, 1 MOVE+, 2 MOVE−.
        extra: further keys of the header line, kept as they are.
    """

    joint_name: str
    action_duration: float
    position_delta: float
    decisions: tuple[tuple[int, int], ...]
    extra: dict[str, Any] = field(default_factory=dict)


def log_path(root: Path, episode_index: int) -> Path:
    """Where the log of an episode lies in the recording at ``root``."""
    return root / LOG_FOLDER / f"episode_{episode_index:06d}.jsonl"


def write_log(path: Path, log: DiscreteActionLog, fps: float) -> None:
    """Write a log as JSON lines: the header, then one line per decision."""
    header = {
        "type": "header",
        "joint_name": log.joint_name,
        "action_duration": log.action_duration,
        "position_delta": log.position_delta,
        **log.extra,
    }
    actions = [
        {"type": "action", "timestamp": frame / fps, "frame_index": frame, "discrete_action": code}
        for frame, code in log.decisions
    ]
    with writing(path) as beside:
        beside.write_text("".join(json.dumps(line) + "\n" for line in (header, *actions)), encoding="utf-8")


def read_log(path: Path) -> DiscreteActionLog:
    """Read a log; the ``type`` of a line may be missing.

    Raises:
        ForearmError: the file cannot be read, has no header, or a decision has no frame_index or a code
            other than 0, 1 and 2.
    """
    lines = list(read_json_lines(path))
    if not lines or "joint_name" not in lines[0]:
        raise ForearmError(f"{path} does not begin with a header line that has joint_name")
    header, actions = lines[0], [line for line in lines[1:] if "discrete_action" in line]
    try:
        return DiscreteActionLog(
            joint_name=str(header["joint_name"]),
            action_duration=_positive(header["action_duration"], "action_duration"),
            position_delta=_positive(header["position_delta"], "position_delta"),
            decisions=tuple(
                (whole(line["frame_index"], "frame_index"), _code(line["discrete_action"])) for line in actions
            ),
            extra={key: value for key, value in header.items() if key not in HEADER_KEYS},
        )
    except KeyError as error:
        raise ForearmError(f"{path} lacks {error} in its header or in a decision") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ForearmError(f"{path} cannot be understood: {error}") from None


def logs_of(folder: Folder, episodes: Sequence[int]) -> dict[int, Path]:
    """Episode to its log, header-only files left out.

    A file's number is its episode's. Where recorders counted otherwise, but left as many logs with decisions
    as there are episodes, the two go together in order.
    """
    numbered = {}
    for path in sorted((folder.root / LOG_FOLDER).glob("*.jsonl")):
        numbers = re.findall(r"\d{1,18}", path.stem)
        if numbers and folder.has(path) and has_decisions(path):
            numbered[int(numbers[-1])] = path
    if len(numbered) == len(episodes) and set(numbered) != set(episodes):
        return dict(zip(episodes, (numbered[n] for n in sorted(numbered)), strict=True))
    return numbered


def has_decisions(path: Path) -> bool:
    """Whether a log file says more than its header; recorders leave header-only files behind."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return any('"discrete_action"' in line for line in lines)


def _positive(value: Any, name: str) -> float:
    number = float(value)
    if not 0 < number < MOST:
        raise ValueError(f"{name} is {value}; it has to lie between 0 and {MOST:g}")
    return number


def _code(value: Any) -> int:
    code = whole(value, "discrete_action")
    if code not in (STAY, MOVE_UP, MOVE_DOWN):
        raise ValueError(f"discrete_action {value} is none of 0 STAY, 1 MOVE+, 2 MOVE−")
    return code
