"""``forearm trial``: policies are tried in what a run imagines, judged, and compared with the simulator."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.environment.imagined_worlds import ImaginedWorlds
from forearm.environment.worlds import Worlds
from forearm.evaluation.controls import CONTROLS
from forearm.evaluation.trials import Exploited, Shown, TrialResults, Tried
from forearm.gym import usual_bound
from forearm.recordings.episode import selected
from forearm.training.run import Run
from forearm.trials.controls import controls_of
from forearm.trials.dreaming import as_imagined, chosen, exploited
from forearm.trials.policies import Expert, Policy, policy_named
from forearm.trials.scorer import Scorer
from forearm.trials.scoring import SheetScorer, judge_named
from forearm.trials.settings import TrialSettings
from forearm.trials.starts import Start, read_starts
from forearm.trials.trying import AT_ONCE, Film, require_fitting, try_out

Watch = Callable[[str, int, int], None]
"""Is told what is under way, how much of it is done, and of how much."""


def trial(
    run: Run | Path | str,
    settings: TrialSettings,
    *,
    sheets: Path,
    device: str = "cpu",
    watch: Watch = lambda what, done, total: None,
    on_films: Callable[[str, Sequence[Film], Tried], None] = lambda name, films, tried: None,
) -> tuple[TrialResults, list[Shown]]:
    """Try policies in what a run imagines, and in the simulator where one is given.

    Args:
        run: trained on commands, or its folder.
        settings: policies, starts and judge.
        sheets: a folder for the contact sheets of a judging program.
        device: of the model.
        watch: is told what is under way.
        on_films: is called with each policy's imagined trials and their results.

    Returns:
        the results, and the films that are worth looking at: of the best, the worst and the most doubtful trial.

    Raises:
        ForearmError: a policy, the starts or the judge do not fit the run.
    """
    settings.require_sound()
    run = Run.open(run)
    worlds = imagined_worlds(run, settings.data, device)
    starts = chosen_starts(worlds, settings)
    with contextlib.ExitStack() as opened:
        truth: Worlds | None = None
        expert: Expert | None = None
        if settings.simulator is not None:
            truth, expert = simulated(settings.simulator, worlds, starts)
            opened.callback(truth.close)
        judge = judge_of(settings, run, worlds, starts, sheets)
        bound = settings.abstain
        if bound is None:
            bound = usual_bound(run, "best", device, run.weights_digest("best"), worlds.data.path)
        horizon = settings.horizon or max(len(start.commands) for start in starts)
        groups = _groups(worlds, starts)
        first = {name: policy_named(name, starts, settings.seed, expert) for name in settings.policy}  # refused at once
        for name, policy in first.items():
            require_fitting(worlds, policy, name, starts[0])
        asked = settings.controls and not isinstance(judge, SheetScorer)
        sure = {
            name: _tried(worlds, policy_named(name, starts), starts, horizon, f"{name}, a control, in the dream", watch)
            for name in (CONTROLS if asked else ())
        }
        scored = {name: judge.scores(films) for name, films in sure.items()}
        controls = controls_of(worlds, starts, judge, scored, horizon, groups) if asked else None
        tried: list[Tried] = []
        shown: list[Shown] = []
        gains: list[Exploited] = []
        for name in settings.policy:
            dreamt: list[Film] = []
            scores, known = np.zeros((settings.best_of, len(starts))), np.zeros((settings.best_of, len(starts)), bool)
            for k in range(settings.best_of):
                policy = policy_named(name, starts, settings.seed + k, expert) if k else first[name]
                told = f"{name}, proposal {k + 1}" if settings.best_of > 1 else name
                proposals = sure.get(name) or _tried(worlds, policy, starts, horizon, f"{told} in the dream", watch)
                scores[k] = judge.scores(proposals)
                dreamt = [
                    mine if chosen(scores[: k + 1, [n]], k + 1)[0] == k else dreamt[n]
                    for n, mine in enumerate(proposals)
                ]
                if truth is not None and settings.best_of > 1:
                    there = _tried(truth, as_imagined(proposals), starts, horizon, f"{told} in the simulator", watch)
                    known[k] = [film.done for film in there]
            if settings.best_of > 1:
                gains.append(exploited(name, scores, known if truth is not None else None))
            true = None
            if truth is not None:
                acting = (
                    as_imagined(dreamt) if settings.best_of > 1 else policy_named(name, starts, settings.seed, expert)
                )
                true = _tried(truth, acting, starts, horizon, f"{name} in the simulator", watch)
            tried.append(_results(name, dreamt, scores.max(axis=0), true, bound, judge))
            shown = worth_looking_at([*shown, *_candidates(tried[-1], dreamt, true)])
            on_films(name, dreamt, tried[-1])
        results = TrialResults(
            *(tuple(tried), groups, bound, horizon, worlds.seconds, settings.success),
            tuple(start.episode for start in starts),
            tuple(start.task for start in starts),
            tuple(gains),
            controls,
        )
        return results, shown


def imagined_worlds(run: Run, data: Path | None, device: str = "cpu") -> ImaginedWorlds:
    """The worlds that a run imagines, beginning at the episodes of a dataset, by default of its own."""
    opened = run.data(data)
    return ImaginedWorlds(run.load("best", device), opened, run.held_out(opened), AT_ONCE, device)


def chosen_starts(worlds: ImaginedWorlds, settings: TrialSettings) -> list[Start]:
    """The starts that the settings name.

    Raises:
        ForearmError: fewer than two, or there is no such episode.
    """
    usual = list(worlds.starts)
    numbers = sorted(selected(settings.episodes, worlds.episodes)) if settings.episodes else usual
    numbers = numbers[: settings.starts]
    if len(numbers) < 2:
        raise ForearmError(
            f"trials need at least two starts, for an interval of success; {worlds.data.path} gives {len(numbers)}: "
            "name more with --episodes, or give other data with --data"
        )
    starts = read_starts(worlds.data, worlds.commands, {number: worlds.episodes[number] for number in numbers})
    return starts if settings.goal is None else [replace(start, task=settings.goal) for start in starts]


def simulated(recording: Path, worlds: ImaginedWorlds, starts: Sequence[Start]) -> tuple[Worlds, Expert]:
    """The simulator's worlds in which the same starts are, and its expert.

    Raises:
        ForearmError: the recording is not of the simulator, is not what the starts are of, or has another rate.
    """
    from forearm.trials.experts import expert_of, simulated_worlds

    truth = simulated_worlds(recording, AT_ONCE, list(worlds.cameras))  # a policy is shown the same in both
    with contextlib.ExitStack() as refused:
        refused.callback(truth.close)
        _require_alike(truth, recording, worlds, starts[0])
        refused.pop_all()
    return truth, expert_of(recording)


def _require_alike(truth: Worlds, recording: Path, worlds: ImaginedWorlds, start: Start) -> None:
    if abs(truth.seconds - worlds.seconds) > 1e-3:
        raise ForearmError(
            f"a step of the run lasts {worlds.seconds:g} s and one of {recording} {truth.seconds:g} s; record with "
            f"--fps {1 / worlds.seconds:g}"
        )
    seen = truth.begin(np.array([0]), [start.episode])
    for name, picture in start.first.items():
        there = seen.pictures.get(name)
        if (
            there is not None
            and there[0].shape == picture.shape
            and np.abs(there[0] - picture.astype(float)).mean() > 8
        ):
            raise ForearmError(
                f"episode {start.episode} of {recording} does not begin like that of {worlds.data.path}; give the "
                "recording that --data was built of"
            )


def judge_of(
    settings: TrialSettings, run: Run, worlds: ImaginedWorlds, starts: Sequence[Start], sheets: Path
) -> Scorer:
    """Who judges.

    Objects are read, and success is learned, from the run's own training pictures; where its dataset is gone, from
    those of the starts' dataset.

    Raises:
        ForearmError: the judge cannot judge these starts.
    """
    own = run.data() if (run.data_folder() / "dataset.json").is_file() else worlds.data
    return judge_named(settings.success, own, starts, sheets, settings.within)


def _tried(
    worlds: Worlds, policy: Policy, starts: Sequence[Start], horizon: int, what: str, watch: Watch
) -> list[Film]:
    return try_out(worlds, policy, starts, horizon, watch=lambda done, total: watch(what, done, total))


def _results(
    name: str, dreamt: Sequence[Film], scores: np.ndarray, true: Sequence[Film] | None, bound: float, judge: Scorer
) -> Tried:
    errors = np.array([_largest(film.expected_error) for film in dreamt])
    done = None if true is None else np.array([film.done for film in true])
    read = None if true is None else judge.scores(true)
    return Tried(name, scores, errors, np.nan_to_num(errors) > bound, done, read)


def _largest(errors: np.ndarray) -> float:
    known = errors[np.isfinite(errors)]
    return float(known.max()) if len(known) else float("nan")


def _groups(worlds: ImaginedWorlds, starts: Sequence[Start]) -> np.ndarray:
    """The scene of each start, (N,), or its episode where all are of one scene."""
    data = worlds.data
    begun = [worlds.episodes[start.episode] for start in starts]
    groups, _ = data.independent_groups(np.flatnonzero(np.isin(data.columns.episodes, begun)))
    first = {int(e): int(g) for e, g in zip(data.columns.episodes[::-1], groups[::-1], strict=True)}
    return np.array([first[episode] for episode in begun])


def _candidates(tried: Tried, dreamt: Sequence[Film], true: Sequence[Film] | None) -> list[Shown]:
    """The best, the worst and the most doubtful trial of a policy.

    The most doubtful has the largest expected error, where the model says it, else the score nearest to ½.
    """
    scores, errors = tried.scores, tried.errors
    doubt = np.nan_to_num(errors, nan=-1.0) if np.isfinite(errors).any() else -np.abs(scores - 0.5)
    found = []
    for what, by in (("best", scores), ("worst", -scores), ("most doubtful", doubt)):
        n = int(by.argmax())
        there = (None, None) if true is None else (true[n].pictures, true[n].done)
        found.append(Shown(what, tried.policy, n, float(scores[n]), float(by[n]), dreamt[n].pictures, *there))
    return found


def worth_looking_at(candidates: Sequence[Shown]) -> list[Shown]:
    """Of each kind the one that is most so, the first of equals."""
    kinds = dict.fromkeys(each.what for each in candidates)
    return [max((each for each in candidates if each.what == what), key=lambda each: each.by) for what in kinds]
