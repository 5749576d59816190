"""Policies: who acts in a trial. One method, `act`; a file of one's own, or a name."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from forearm.base.errors import ForearmError, foreign
from forearm.trials.starts import Start

Observation = Mapping[str, Any]
"""What B worlds show: LeRobot's ``observation.images.CAMERA`` (B, h, w, 3) uint8 and ``observation.state`` (B, J)
float32; ``task``, B texts; ``trial`` (B,) int64, the numbers of the starts. Where the start tells which object is to
be moved, ``goal.box`` (B, cameras, 4) is its box in the first pictures and ``goal.place`` (B, cameras, 2) the place
where its middle is to be seen, both in shares of the picture; NaN where it does not."""
Expert = Callable[[int, float, np.random.Generator], np.ndarray]
"""Makes the commands (n, J) of a scripted expert: from a start's number, a clumsiness and a generator."""
DRIFT = 0.85
"""Share of a drifting error that is left a step later."""


class Policy(Protocol):
    """Acts in B worlds at once.

    A policy that remembers has a method ``reset()``, called before each set of trials. One that does not fit all worlds
    has a method ``check(observation)``, called once before anything is tried; it raises where the policy cannot act.
    """

    def act(self, observation: Observation) -> np.ndarray:
        """The next T commanded joint targets of each world, (B, T, J) float32; they are carried out one a step."""
        ...


@dataclass(frozen=True)
class Planned:
    """Carries out a whole sequence of commands, whatever happens; at its end it holds the last one.

    Attributes:
        plan: makes the commands (n, J) of a trial from its number.
    """

    plan: Callable[[int], np.ndarray]
    _begun: set[int] = field(default_factory=set)

    def reset(self) -> None:
        self._begun.clear()

    def act(self, observation: Observation) -> np.ndarray:
        plans = [self.plan(int(number)) for number in observation["trial"]]
        if self._begun:
            return np.stack([plan[-1:] for plan in plans]).astype(np.float32)
        self._begun.add(1)
        longest = max(map(len, plans))
        return np.stack([np.pad(p, ((0, longest - len(p)), (0, 0)), "edge") for p in plans]).astype(np.float32)


def replayed(starts: Sequence[Start]) -> Planned:
    """Carries out what was recorded."""
    return Planned(lambda trial: starts[trial].commands)


def noisy(starts: Sequence[Start], size: float, seed: int) -> Planned:
    """Carries out what was recorded, beside it by an error of each joint that drifts.

    Args:
        size: standard deviation of the error in the joints' units.
    """

    def plan(trial: int) -> np.ndarray:
        commands = starts[trial].commands
        drawn = np.random.default_rng([seed, trial]).normal(0, size, commands.shape)
        error = np.zeros_like(drawn)
        for t in range(len(drawn)):
            error[t] = DRIFT * error[t - 1] * (t > 0) + np.sqrt(1 - DRIFT**2) * drawn[t]
        return commands + error

    return Planned(plan)


def cut(starts: Sequence[Start], share: float) -> Planned:
    """Carries out the first part of what was recorded, then holds."""
    return Planned(lambda trial: starts[trial].commands[: max(1, round(share * len(starts[trial].commands)))])


def still(starts: Sequence[Start]) -> Planned:
    """Holds the arm where it is."""
    return Planned(lambda trial: starts[trial].commands[:1])


def experts(starts: Sequence[Start], expert: Expert, clumsiness: float, seed: int) -> Planned:
    """Carries out what a scripted expert of a clumsiness would do.

    It plans with the true poses of the start, in a simulator of its own, before the trial; in the trial it sees nothing
    and carries the plan out.

    Args:
        expert: makes the commands (n, J) of a start by its number, a clumsiness and a generator.
    """
    plans: dict[int, np.ndarray] = {}

    def plan(trial: int) -> np.ndarray:
        if trial not in plans:
            plans[trial] = expert(starts[trial].episode, clumsiness, np.random.default_rng([seed, trial]))
        return plans[trial]

    return Planned(plan)


BUILT_IN = {
    "replay": "carries out what was recorded",
    "noise:SIZE": "the same, beside it by an error that drifts, of so many units",
    "cut:SHARE": "the first part of it alone",
    "still": "holds the arm where it is",
    "expert:CLUMSINESS": "a scripted expert's plan, in the simulator's scenes",
}
"""Policies by name."""


def policy_named(text: str, starts: Sequence[Start], seed: int = 0, expert: Expert | None = None) -> Policy:
    """The policy that a text names.

    Args:
        text: a name of ``BUILT_IN``, or ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``, perhaps with ``:ARGUMENT``, whose
            function makes a policy.
        starts: of the trials.
        seed: of what is drawn; a policy of one's own that has an attribute ``seed`` gets it.
        expert: of the simulator; None where the starts are not of it.

    Raises:
        ForearmError: there is no such policy, or it cannot be made.
    """
    name, _, argument = text.partition(":")
    if name == "replay" and not argument:
        return replayed(starts)
    if name == "still" and not argument:
        return still(starts)
    if name in ("noise", "cut", "expert"):
        number = _number(text, argument)
        if name == "noise":
            return noisy(starts, number, seed)
        if name == "cut":
            return cut(starts, number)
        if expert is None:
            raise ForearmError("a scripted expert knows the simulator alone; give --simulator, or another policy")
        return experts(starts, expert, number, seed)
    policy = _made(text, name, argument)
    if hasattr(policy, "seed"):
        policy.seed = seed
    return policy


def _number(text: str, argument: str) -> float:
    try:
        number = float(argument)
    except ValueError:
        number = -1.0
    kind = text.partition(":")[0]
    most = 1 if kind == "cut" else 1000
    if not 0 <= number <= most:
        raise ForearmError(f"the policy {text!r} needs a number from 0 to {most}, such as {kind}:0.5")
    return number


def _made(text: str, name: str, rest: str) -> Policy:
    function, _, argument = rest.partition(":")
    if not function:
        known = ", ".join(BUILT_IN)
        raise ForearmError(f"no policy {text!r}; there are {known}, or give FILE.py:FUNCTION that makes one")
    make = attribute(name, function, "the policy")
    with foreign(f"the policy {text} cannot be made"):
        policy = make(*([argument] if argument else []))
    if not callable(getattr(policy, "act", None)):
        raise ForearmError(f"what {text} makes has no method act(observation); see docs/trials.md")
    return policy


def attribute(module: str, name: str, what: str) -> Callable[..., Any]:
    """A function of a Python file or a module.

    Raises:
        ForearmError: there is none, or importing it fails.
    """
    path = Path(module)
    if module.endswith(".py") and not path.is_file():
        raise ForearmError(f"{what} {module}:{name} cannot be read: there is no file {module}")
    with foreign(f"{what} {module}:{name} cannot be imported"):
        if module.endswith(".py"):
            known = _name_of(path)
            spec = importlib.util.spec_from_file_location(known, path)
            assert spec is not None
            assert spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[known] = loaded  # dataclasses and pickles look for it there
            spec.loader.exec_module(loaded)
        else:
            loaded = import_module(module)
    found = getattr(loaded, name, None)
    if not callable(found):
        there = ", ".join(n for n, f in vars(loaded).items() if inspect.isfunction(f) and not n.startswith("_"))
        raise ForearmError(f"{what}: {module} has no function {name}; it has {there or 'none'}")
    return found


def _name_of(path: Path) -> str:
    """Under which name a Python file is imported: its own, unless another module has it, such as ``random``."""
    try:
        found = importlib.util.find_spec(path.stem)
        own = found is None or Path(found.origin or "").resolve() == path.resolve()
    except ImportError:  # a name with a dot
        own = True
    except ValueError:  # a module that was imported without a name of its own, such as __main__
        own = False
    return path.stem if own else f"{path.stem} of {path.resolve().parent}"
