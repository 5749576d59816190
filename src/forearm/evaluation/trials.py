"""What trials came to, ready for a page, a table and JSON."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from forearm.evaluation.agreement import SUCCESS, Agreement
from forearm.evaluation.controls import CONTROLS, Controls, CorrectedGap, Z
from forearm.evaluation.intervals import PairedShares, holm, share_interval
from forearm.evaluation.policy_names import short_names
from forearm.evaluation.samples import Interval


@dataclass(frozen=True)
class Shown:
    """A trial that is worth looking at."""

    what: str
    """Why: best, worst, most doubtful."""
    policy: str
    trial: int
    """Which start."""
    score: float
    by: float
    """How much it is so."""
    pictures: dict[str, np.ndarray]
    """Camera to (T + 1, h, w, 3) uint8, as imagined."""
    true_pictures: dict[str, np.ndarray] | None = None
    """The same in the simulator."""
    done: bool | None = None
    """Whether it truly succeeds; None without the simulator."""


@dataclass(frozen=True)
class Tried:
    """A policy on N starts."""

    policy: str
    scores: np.ndarray
    """(N,) from 0 to 1, in the dream."""
    errors: np.ndarray
    """(N,) the largest expected error of each trial; NaN where the model does not say."""
    abstained: np.ndarray
    """(N,) bool, whether it passed the bound."""
    truth: np.ndarray | None = None
    """(N,) bool, whether the simulator says that the task was done; None without the simulator."""
    true_scores: np.ndarray | None = None
    """(N,) what the scorer says of the simulator's pictures."""

    @property
    def successes(self) -> np.ndarray:
        """(N,) bool, in the dream."""
        return self.scores >= SUCCESS


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927)."""
    z2, p = Z**2, successes / trials
    centre, half = p + z2 / (2 * trials), (z2 * (p * (1 - p) / trials + z2 / (4 * trials**2))) ** 0.5
    return max(0.0, (centre - half) / (1 + z2 / trials)), min(1.0, (centre + half) / (1 + z2 / trials))


@dataclass(frozen=True)
class Rate:
    """A share of successes."""

    value: float | None
    """None where nothing counts."""
    interval: Interval
    count: int
    """Of how many trials."""

    @classmethod
    def of(cls, successes: np.ndarray, groups: np.ndarray) -> "Rate":
        """From successes (n,) of groups (n,) that may be taken for independent.

        The interval is Wilson's where each trial is a group of its own, else one that covers it.
        """
        n = len(successes)
        if not n:
            return cls(None, None, 0)
        alone = len(np.unique(groups)) == n
        interval = wilson(int(successes.sum()), n) if alone else share_interval(successes, groups)
        return cls(float(successes.mean()), interval, n)


@dataclass(frozen=True)
class Compared:
    """One policy beside another on the same starts."""

    policy: str
    other: str
    dream: PairedShares
    p: float
    """Holm's, over all pairs, in the dream."""
    truth: PairedShares | None


@dataclass(frozen=True)
class Lift:
    """By how much a choice raises true success."""

    value: float
    """Mean over starts, as a share."""
    interval: tuple[float, float]
    """95 %, over starts."""


@dataclass(frozen=True)
class Exploited:
    """What choosing the best of K in the dream comes to, over P policies' N starts."""

    policy: str
    k: tuple[int, ...]
    imagined: tuple[float, ...]
    """Share of chosen proposals that succeed in the dream."""
    true: tuple[float, ...] | None
    """Share that truly succeeds."""
    lift: Lift | None = None
    """True success of the best of all minus that of any proposal, which is the mean of all."""

    @property
    def exploitation(self) -> tuple[float, ...] | None:
        """Success imagined − success in truth, by K: how far choosing exploits the model's errors."""
        return None if self.true is None else tuple(a - b for a, b in zip(self.imagined, self.true, strict=True))


@dataclass(frozen=True)
class TrialResults:
    """Policies on the same N starts."""

    tried: tuple[Tried, ...]
    groups: np.ndarray
    """(N,) the scene of each start."""
    bound: float
    """Expected error above which the model abstains."""
    horizon: int
    seconds: float
    """Of a step."""
    judge: str
    """Who judges, as it was asked for."""
    starts: tuple[int, ...]
    """Numbers of the episodes."""
    tasks: tuple[str, ...]
    exploited: tuple[Exploited, ...] = ()
    controls: Controls | None = None
    """What is known to succeed or to fail at the same starts; None where nobody asked the dream about it."""

    @cached_property
    def names(self) -> dict[str, str]:
        """The short name of each policy."""
        return short_names([each.policy for each in self.tried])

    @property
    def simulated(self) -> bool:
        return all(each.truth is not None for each in self.tried)

    def rate(self, tried: Tried, judged: bool = False, truth: bool = False) -> Rate:
        """The success of a policy; ``judged``: without the trials in which the model abstained."""
        kept = ~tried.abstained if judged else np.ones(len(tried.scores), bool)
        values = tried.truth if truth else tried.successes
        assert values is not None
        return Rate.of(values[kept], self.groups[kept])

    def corrected(self, tried: Tried) -> Rate | None:
        """The success of a policy, corrected by the controls; None for these, and where they do not allow it."""
        if self.controls is None or not self.controls.useful or tried.policy in CONTROLS:
            return None
        success = float(tried.successes.mean())
        return Rate(self.controls.corrected(success), self.controls.interval(success), len(tried.scores))

    @cached_property
    def corrected_gap(self) -> CorrectedGap | None:
        """How far corrected success is from true success, over policies that are no controls."""
        judged = [each for each in self.tried if each.policy not in CONTROLS]
        if self.controls is None or not self.simulated or not judged:
            return None
        scores, truth = (np.stack([getattr(each, name) for each in judged]) for name in ("scores", "truth"))
        return CorrectedGap.of(scores, truth, self.controls)

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """Every pair of policies."""
        pairs = list(combinations(self.tried, 2))
        dream = [PairedShares.of(a.successes, b.successes) for a, b in pairs]
        return tuple(
            Compared(
                *(a.policy, b.policy, found, p),
                PairedShares.of(a.truth, b.truth) if a.truth is not None and b.truth is not None else None,
            )
            for (a, b), found, p in zip(pairs, dream, holm([each.p for each in dream]), strict=True)
        )

    @cached_property
    def agreement(self) -> tuple[Agreement, Agreement] | None:
        """Between dream and simulator, over all trials and over those in which the model did not abstain."""
        if not self.simulated:
            return None
        scores, truth = (np.stack([getattr(each, name) for each in self.tried]) for name in ("scores", "truth"))
        kept = np.stack([~each.abstained for each in self.tried])
        return Agreement.of(scores, truth), Agreement.of(scores, truth, kept)

    def to_json(self) -> dict[str, Any]:
        """Everything, for ``trials.json``."""

        def rate(*given: Any) -> dict[str, Any]:
            return dataclasses.asdict(self.rate(*given))

        known, gap = self.controls, self.corrected_gap
        corrected = {each.policy: self.corrected(each) for each in self.tried}
        return {
            "judge": self.judge,
            "horizon": self.horizon,
            "seconds": self.seconds,
            "bound": self.bound if np.isfinite(self.bound) else None,
            "starts": list(self.starts),
            "tasks": list(self.tasks),
            "controls": known
            and {
                "sensitivity": known.rates and known.rates[0],
                "false_positive_rate": known.rates and known.rates[1],
                "scores": dict(zip(CONTROLS, known.scores.tolist(), strict=True)),
                "known": dict(zip(CONTROLS, known.known.tolist(), strict=True)),
                "gap": gap and dataclasses.asdict(gap),
            },
            "policies": [
                {
                    "policy": each.policy,
                    "dream": rate(each),
                    "corrected": None if (found := corrected[each.policy]) is None else dataclasses.asdict(found),
                    "dream_judged": rate(each, True),
                    "abstained": float(each.abstained.mean()),
                    "truth": rate(each, False, True) if each.truth is not None else None,
                    "scores": each.scores.tolist(),
                    "errors": [None if np.isnan(e) else e for e in each.errors.tolist()],
                    "true_successes": None if each.truth is None else each.truth.tolist(),
                    "true_scores": None if each.true_scores is None else each.true_scores.tolist(),
                }
                for each in self.tried
            ],
            "compared": [dataclasses.asdict(each) for each in self.compared],
            "agreement": self.agreement
            and dict(zip(("all", "judged"), (dataclasses.asdict(each) for each in self.agreement), strict=True)),
            "best_of": [dataclasses.asdict(each) | {"exploitation": each.exploitation} for each in self.exploited],
        }
