"""The page of a trial: which policy succeeds in the dream, what the simulator says of it, and films."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.base.errors import ForearmError
from forearm.base.files import require_replaceable, writing
from forearm.evaluation.agreement import SUCCESS, Agreement, Figure
from forearm.evaluation.trials import Rate, Shown, TrialResults
from forearm.media.films import mp4
from forearm.media.pictures import data_uri, enlarge, tile
from forearm.media.words import NOTHING, figure
from forearm.report.charts import Point, agreement_chart, line_chart
from forearm.report.html import template
from forearm.report.wording import command_line, count, listed, without_folders

GENERATOR = '<meta name="generator" content="forearm trial" />'
"""Marks a file as the page of a trial, so that it may be replaced."""
SHOWN, RATE, CRF = 192, 5, 22
"""About how many pixels high a camera is in a film; pictures a second; the quality of films."""
LIKEWISE = 0.7
"""Rank correlation from which on dream and simulator agree in words."""
MANY = 0.2
"""Share of trials from which on the page warns that the model abstains."""
NAMED = 8
"""So many pairs of policies are shown at once; the others fold out."""


PAGE, FIGURES = "report.html", "trials.json"
"""What a trial's folder holds, beside the sheets of a judging program."""


@dataclass(frozen=True)
class Facts:
    """What a page says about trials besides their results."""

    run: str
    """The run's name."""
    data: str
    """The name of the dataset in whose episodes the trials begin."""
    date: str
    command: tuple[str, ...]
    """The words of the command that made them."""


def require_own(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier trial.

    Raises:
        ForearmError: it is a file, or holds something else.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() and not (folder.is_dir() and _names(folder) <= {PAGE, FIGURES, "sheets"}):
        raise ForearmError(f"{folder} already exists and is no trial's; choose another --out or remove it first")
    require_replaceable(folder / PAGE, GENERATOR, "--out")


def _names(folder: Path) -> set[str]:
    """What a folder holds, but for what a killed writer left."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def save_trials(results: TrialResults, shown: Sequence[Shown], facts: Facts, target: Path) -> Path:
    """Write the page and return its path; only an earlier page of ``forearm trial`` is replaced.

    Raises:
        ForearmError: something else stands there, or it cannot be written.
    """
    require_replaceable(target, GENERATOR, "--out")
    page = template("trials.html").render(
        generator=Markup(GENERATOR),
        facts=facts,
        command=command_line(facts.command),
        asked=_asked(results),
        headline=headline(results),
        details=_details(results),
        doubt=_doubt(results),
        policies=_policies(results),
        simulated=results.simulated,
        tiles=_tiles(results),
        charts=_charts(results),
        agreement=_agreement(results),
        films=[_film(one, results) for one in shown],
        pairs=_pairs(results),
        named=NAMED,
        gains=[_gain(one, results.names[one.policy]) for one in results.exploited],
        tasks=sorted(set(results.tasks))[:6],
        starts=len(results.starts),
        controls=controls_in_words(results),
        corrected=results.controls is not None and results.controls.useful,
        judge=_judge(results.judge),
    )
    with writing(target) as beside:
        beside.write_text(page, encoding="utf-8")
    return target


def headline(results: TrialResults) -> str:
    """The result in a sentence."""
    rates = [results.rate(each) for each in results.tried]
    best = max(range(len(rates)), key=lambda i: rates[i].value or 0)
    if not any(rate.value for rate in rates):
        truth = [results.rate(each, truth=True) for each in results.tried] if results.simulated else []
        text = "No policy ever succeeds in the dream"
        if not any(rate.value for rate in truth):
            return f"{text}."
        top = max(range(len(truth)), key=lambda i: truth[i].value or 0)
        known = f"in the simulator {results.names[results.tried[top].policy]} does in {_share(truth[top])}"
        return f"{text}; {known}. This run can judge no policy."
    text = f"{results.names[results.tried[best].policy]} succeeds most often in the dream: {_share(rates[best])}"
    if len(rates) == 1:
        return f"{results.names[results.tried[0].policy]} succeeds in {_share(rates[0])} of its imagined trials."
    if results.agreement is None:
        return text + "."
    rank = results.agreement[0].spearman
    if rank.value is None:
        return text + "."
    how = "likewise" if rank.value >= LIKEWISE else "otherwise"
    return f"{text}. The simulator ranks {len(rates)} policies {how}: rank correlation {_plain(rank)}."


def _share(rate: Rate) -> str:
    if rate.value is None:
        return NOTHING
    return f"{100 * rate.value:.0f} %" + (f" ({_ends(rate)})" if rate.interval else "")


def _ends(rate: Rate) -> str:
    assert isinstance(rate.interval, tuple)
    return f"{100 * rate.interval[0]:.0f} to {100 * rate.interval[1]:.0f}"


def _plain(of: Figure) -> str:
    if of.value is None or not isinstance(of.interval, tuple):
        return NOTHING
    return f"{of.value:.2f} ({of.interval[0]:.2f} to {of.interval[1]:.2f})".replace("-", "−")


def _details(results: TrialResults) -> str:
    trials = len(results.tried) * len(results.starts)
    seconds = results.horizon * results.seconds
    text = (
        f"{count(len(results.tried), 'policy').replace('policys', 'policies')} on the same "
        f"{count(len(results.starts), 'start')}: {count(trials, 'imagined trial')} of {results.horizon} steps "
        f"({seconds:.0f} s)"
    )
    return text + (", each also carried out in the simulator." if results.simulated else ".")


def _doubt(results: TrialResults) -> str:
    """What to keep in mind, in a sentence or two; empty where there is nothing."""
    abstained = float(np.mean([each.abstained.mean() for each in results.tried]))
    doubts = []
    if abstained > MANY:
        doubts.append(
            f"The model abstains in {100 * abstained:.0f} % of the trials: it expects a larger error than the bound of "
            f"{figure(results.bound)}. Trust these figures less."
        )
    if results.agreement is not None and (gap := results.agreement[0].gap.value) is not None and gap > 0.1:
        bias = results.agreement[0].bias.value or 0.0
        kind = "too kind" if bias > 0 else "too strict"
        doubts.append(
            f"The dream is off by {100 * gap:.0f} points of success on average, {kind} by {100 * abs(bias):.0f}."
        )
    elif results.controls is not None and results.controls.rates is not None and not results.controls.useful:
        doubts.append(
            "The dream hardly tells what is known to succeed from what is known to fail. Trust these figures less."
        )
    return " ".join(doubts)


def controls_in_words(results: TrialResults) -> str:
    """How the dream judges what is known, and what that corrects; empty where it was not asked."""
    controls = results.controls
    if controls is None:
        return ""
    positive, negative = int(controls.known.sum()), int((~controls.known).sum())
    text = (
        "Controls are trials whose outcome is known: the recorded commands are carried out in the dream, and an arm "
        f"holds still. By the recorded pictures {positive} of them are successes and {negative} are failures"
    )
    if controls.rates is None:
        return f"{text}: too few of one kind to correct anything."
    true, false = (f"{100 * rate:.0f} %" for rate in controls.rates)
    text += f". In the dream {true} of these successes succeed, and {false} of these failures"
    if not controls.useful:
        return f"{text}. That is too little apart to correct anything."
    text += f". Success is corrected for both: (success − {false}) / ({true} − {false})."
    if (gap := results.corrected_gap) is None:
        return text
    raw, corrected, bias = (_points(of, sign) for of, sign in ((gap.raw, ""), (gap.gap, ""), (gap.bias, "+")))
    return (
        f"{text} Over the policies that are no controls, the mean gap to the simulator is {raw} points as dreamt and "
        f"{corrected} points corrected. Corrected success minus true success is {bias} points."
    )


def _points(of: Figure, sign: str) -> str:
    assert of.value is not None
    assert isinstance(of.interval, tuple)
    value, low, high = (f"{100 * each:{sign}.0f}" for each in (of.value, *of.interval))
    return f"{value} ({low} to {high})".replace("-", "−")


def _policies(results: TrialResults) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, each in enumerate(results.tried, 1):
        truth = results.rate(each, truth=True) if each.truth is not None else None
        dream = results.rate(each)
        gap = None if truth is None or truth.value is None or dream.value is None else dream.value - truth.value
        rows.append(
            {
                "number": number,
                "name": results.names[each.policy],
                "dream": dream,
                "corrected": results.corrected(each),
                "judged": results.rate(each, judged=True),
                "abstained": f"{100 * each.abstained.mean():.0f} %",
                "truth": truth,
                "gap": NOTHING if gap is None else f"{100 * gap:+.0f}".replace("-", "−"),
                "read": NOTHING
                if each.true_scores is None or each.truth is None
                else f"{100 * ((each.true_scores >= SUCCESS) == each.truth).mean():.0f} %",
            }
        )
    rates = [row["dream"].value or 0 for row in rows]
    for row in rows:
        row["best"] = row["dream"].value == max(rates)
        for name in ("dream", "corrected", "judged", "truth"):
            rate = row[name]
            row[name] = (
                None
                if rate is None
                else {
                    "text": NOTHING if rate.value is None else f"{100 * rate.value:.0f} %",
                    "interval": _ends(rate) if rate.interval else NOTHING,
                    "width": round(100 * (rate.value or 0)),
                }
            )
    return sorted(rows, key=lambda row: -row["dream"]["width"])


def _asked(results: TrialResults) -> list[tuple[str, str]]:
    """The policies whose names are shortened, and how they were asked for, without the folders of this machine."""
    return [(name, without_folders(text)) for text, name in results.names.items() if name != text]


def _tiles(results: TrialResults) -> list[dict[str, str]]:
    abstained = float(np.mean([each.abstained.mean() for each in results.tried]))
    tiles = []
    if results.agreement is not None:
        every, _ = results.agreement
        for title, name in (("Rank correlation, dream and simulator", "spearman"), ("Correlation", "pearson")):
            found = getattr(every, name)
            tiles.append(
                {
                    "title": title,
                    "value": NOTHING if found.value is None else f"{found.value:.2f}",
                    "text": _interval_of(found),
                }
            )
        gap = every.gap
        tiles.append(
            {
                "title": "Mean gap of predicted success",
                "value": NOTHING if gap.value is None else f"{100 * gap.value:.0f} points",
                "text": _interval_of(gap, 100),
            }
        )
    tiles.append(
        {
            "title": "Trials in which the model abstains",
            "value": f"{100 * abstained:.0f} %",
            "text": f"expected error above {figure(results.bound)}"
            if np.isfinite(results.bound)
            else "the model says no error",
        }
    )
    return tiles


def _interval_of(found: Figure, times: float = 1) -> str:
    if not isinstance(found.interval, tuple):
        return "not defined here"
    low, high = (times * end for end in found.interval)
    text = f"{low:.0f} to {high:.0f}" if times > 1 else f"{low:.2f} to {high:.2f}"
    return f"95 %: {text}".replace("-", "−")


def _agreement(results: TrialResults) -> list[dict[str, Any]]:
    if results.agreement is None:
        return []
    words = {
        "pearson": "Pearson's correlation of success rates",
        "spearman": "Spearman's rank correlation",
        "ranked": "Rank correlation of mean scores in the dream with true success",
        "mmrv": "Mean maximum rank violation (0 is best)",
        "gap": "Mean gap of predicted success",
        "bias": "Dream minus simulator",
        "same": "Trials that end alike",
    }
    return [
        {
            "name": text,
            "figures": [_plain(getattr(of, name)).partition(" ") for of in results.agreement],
        }
        for name, text in words.items()
    ]


def _charts(results: TrialResults) -> list[tuple[str, Markup]]:
    charts = []
    if results.agreement is not None and all(results.rate(each).interval for each in results.tried):
        points = []
        for each in results.tried:
            dream, truth = results.rate(each), results.rate(each, truth=True)
            assert isinstance(dream.interval, tuple)
            assert isinstance(truth.interval, tuple)
            assert dream.value is not None
            assert truth.value is not None
            points.append(Point(results.names[each.policy], dream.value, truth.value, dream.interval, truth.interval))
        charts.append(
            (
                "Success by policy, numbered as in the table",
                agreement_chart(points, "in the dream, %", "in the simulator, %"),
            )
        )
        charts += _calibration(results.agreement[0])
    for gain in results.exploited:
        curves = {"in the dream": (np.array(gain.k), 100 * np.array(gain.imagined))}
        if gain.true is not None:
            curves["in the simulator"] = np.array(gain.k), 100 * np.array(gain.true)
        charts.append(
            (f"{results.names[gain.policy]}: success of the best of K proposals", line_chart(curves, "K", "%"))
        )
    return charts


def _calibration(agreement: Agreement) -> list[tuple[str, Markup]]:
    bins = agreement.calibration
    if len(bins) < 2:
        return []
    predicted, true = (100 * np.array([getattr(each, name) for each in bins]) for name in ("predicted", "true"))
    curves = {"trials by score": (predicted, true), "calibrated": (np.array([0.0, 100.0]), np.array([0.0, 100.0]))}
    return [("Predicted success beside true success", line_chart(curves, "mean score, %", "truly successful, %"))]


def _pairs(results: TrialResults) -> list[dict[str, Any]]:
    def words(found: Any) -> str:
        low, high = found.interval
        return f"{100 * found.value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})".replace("-", "−")

    return [
        {
            "first": results.names[each.policy],
            "second": results.names[each.other],
            "dream": words(each.dream),
            "p": "<0.001" if each.p < 0.001 else f"{each.p:.3f}",
            "sure": each.p < 0.05,
            "truth": NOTHING if each.truth is None else words(each.truth),
        }
        for each in sorted(results.compared, key=lambda each: each.p)
    ]


def _gain(gain: Any, name: str) -> dict[str, Any]:
    rows = [
        {"k": k, "imagined": f"{100 * gain.imagined[i]:.0f} %"}
        | (
            {}
            if gain.true is None
            else {
                "true": f"{100 * gain.true[i]:.0f} %",
                "apart": f"{100 * gain.exploitation[i]:+.0f}".replace("-", "−"),
            }
        )
        for i, k in enumerate(gain.k)
    ]
    lift = ""
    if gain.lift is not None:
        low, high = gain.lift.interval
        lift = (
            f"The best of {gain.k[-1]} changes true success by {100 * gain.lift.value:+.0f} points "
            f"({100 * low:+.0f} to {100 * high:+.0f}) beside any one of them."
        )
    return {"policy": name, "rows": rows, "lift": lift.replace("-", "−"), "true": gain.true is not None}


def _film(shown: Shown, results: TrialResults) -> dict[str, Any]:
    """The imagined trial, and the true one beside it where it is known."""
    frames = film_frames(shown.pictures, shown.true_pictures)
    sides = ["imagined", *(["in the simulator"] if shown.true_pictures is not None else [])]
    task = results.tasks[shown.trial] or "no task in words"
    truth = "" if shown.done is None else f" In the simulator it {'succeeds' if shown.done else 'fails'}."
    return {
        "title": f"The {shown.what}",
        "caption": f"{results.names[shown.policy]}, start {results.starts[shown.trial]}: {task}.",
        "verdict": f"Score {shown.score:.2f} in the dream.{truth}",
        "sides": listed(sides) if len(sides) > 1 else sides[0],
        "src": f"data:video/mp4;base64,{base64.b64encode(mp4(frames, RATE, crf=CRF)).decode()}",
        "poster": data_uri(frames[-1]),
        "height": frames[0].shape[0],
        "width": frames[0].shape[1],
    }


def film_frames(imagined: dict[str, np.ndarray], true: dict[str, np.ndarray] | None) -> list[np.ndarray]:
    """Pictures of a film: cameras below each other; the true ones to the right of the imagined ones."""
    columns = [imagined, *([true] if true is not None else [])]
    first = next(iter(imagined.values()))
    times = max(1, round(SHOWN / first.shape[1]))
    frames = []
    for step in range(len(first)):
        cells = [enlarge(of[name][step], times) for name in imagined for of in columns]
        frame = tile(cells, len(columns), 4, fill=0)
        frames.append(np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0))))
    return frames


def _judge(judge: str) -> str:
    """How success is judged, in a sentence."""
    place = "it is read from the pictures, and counts as there where it is near the place at which the episode ended"
    classifier = "a classifier that has learned success from the true pictures of the training recordings"
    kinds = {
        "auto": f"An object that is to be raised is judged by {classifier}. Of one that is to be moved, {place}. Where "
        "nothing is known of objects, the last frame of the episode is the goal picture.",
        "object": f"Of the object, {place}.",
        "way": "The score is how far the object is read to have come, as a share of its way to the place at which the "
        "episode ended; half of it is a success.",
        "picture": "The last frame of the episode is the goal picture.",
        "learned": f"Success is judged by {classifier}.",
    }
    return kinds.get(judge, f"Success is judged by {judge}.")
