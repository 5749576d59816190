"""Which metric of `forearm evaluate` tells how useful a run is. One command:

    python benchmarks/correlations.py --work FOLDER --data DATA

DATA is built of the recordings of `benchmarks/policies.py` by

    forearm build FOLDER/recordings/{push,lift}-{good,mid,bad} --cameras base --actions command --action-is target \\
        --step 0.2 --out DATA

and FOLDER is that benchmark's, whose test scenes, policies and truth are used. The benchmark trains runs of several
families, lengths and seeds, evaluates each on the same held-out episodes, lets each imagine the same trials, and
writes docs/benchmarks/correlations.md. What is done already is not done again: an interrupted run goes on where it
stopped.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import ROOT, circumstances, command, write_table
from policies import SCRIPTED, TASKS, Benchmark, plain
from quality import CHOSEN, forearm, model_options, say

from forearm.base.files import read_json
from forearm.evaluation import CATALOGUE, FED_BACK, METRICS, MODEL
from forearm.evaluation.agreement import (
    Figure,
    RankCorrelation,
    drawn_correlations,
    pearson,
    right_choices,
    spearman,
)
from forearm.evaluation.intervals import holm
from forearm.training.run import Run

PAGE = ROOT / "docs" / "benchmarks" / "correlations.md"
STARTS = 16
"""Of each task."""
CLONES = ("clone of 10", "clone of 300")
ROWS, PATHS, STEPS = 600, 48, 15
"""Transitions and paths that each run is evaluated on, and steps of a path."""
HORIZONS = (5, 10, 15)
"""Steps after which fed-back figures are taken."""
OF_OWN_PICTURES = ("--imagined-share", "0.5", "--imagined-steps", "6")
OF_TRUE_PICTURES = ("--imagined-share", "0")
FIRST = "val_mse_moves"
"""The first key figure of a report when this was measured; others are compared with it."""


@dataclass(frozen=True)
class Recipe:
    """How a run is trained: the family's best settings of `benchmarks/search.py`, but for what is said here."""

    family: str
    minutes: float
    """Of a core."""
    seed: int = 0
    options: tuple[str, ...] = OF_OWN_PICTURES

    @property
    def words(self) -> list[str]:
        """Options of ``forearm train``."""
        chosen = CHOSEN[self.family]
        budget = ("--minutes", self.minutes, "--clock", "cpu", "--seed", self.seed, "--learning-rate", chosen.rate)
        return [*map(str, budget), *model_options(chosen.settings), *self.options]


RECIPES = {
    "warp-1": Recipe("warp", 1),
    "warp-1-seed-1": Recipe("warp", 1, seed=1),
    "warp-1-true-pictures": Recipe("warp", 1, options=OF_TRUE_PICTURES),
    "warp-2": Recipe("warp", 2),
    "warp-4": Recipe("warp", 4),
    "warp-25-interrupted": Recipe("warp", 25),
    "warp-45": Recipe("warp", 45),
    "unet-4": Recipe("unet", 4),
    "flow-2": Recipe("flow", 2),
    "mae-1": Recipe("mae", 1),
    "diffusion-1": Recipe("diffusion", 1),
}


@dataclass(frozen=True)
class Use:
    """How useful a run is on a task."""

    ranks: float
    """Rank correlation over policies of the mean score in the dream and true success."""
    pearson: float
    """The same without ranks."""
    gap: float
    """Mean over policies of |success in the dream − true success|, points."""
    chooses: float
    """Share of pairs of plans from one start, one of which truly succeeds, that are told apart rightly."""
    gains: float
    """True success of the plan that the dream scores best, of each start's, less that of one drawn by lot, points."""

    @classmethod
    def of(cls, benchmark: Benchmark, starts: slice) -> "Use":
        """From trials in the dream and in the simulator, each done once, and of them from some starts."""

        def trials(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """Success and graded score in the dream, and truth."""
            policy = benchmark.policy(name)
            dream = benchmark.kept(benchmark.dreams, name, policy, 0, lambda: benchmark.imagined)
            truth = benchmark.kept(benchmark.truths, name, policy, 0, lambda: benchmark.simulator[0])
            scores = np.array(dream["scores"])[starts]
            graded = np.array(dream["ways"])[starts] if "ways" in dream else scores
            return scores >= 0.5, graded, np.array(truth["done"], bool)[starts]

        tried = [trials(name) for name in (*SCRIPTED, *CLONES)]
        dreamt, graded, true = (np.stack(each) for each in zip(*tried, strict=True))
        plans, works = graded[: len(SCRIPTED)], true[: len(SCRIPTED)]
        return cls(
            spearman(graded.mean(1), true.mean(1)),
            pearson(graded.mean(1), true.mean(1)),
            100 * float(np.abs(dreamt.mean(1) - true.mean(1)).mean()),
            right_choices(plans, works),
            100 * float((best_of(plans, works) - works.mean(0)).mean()),
        )


def best_of(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """True success (N,) of the plan that scores best, of (P, N); of equals the mean."""
    best = scores == scores.max(axis=0)
    return (best * truth).sum(axis=0) / best.sum(axis=0)


@dataclass(frozen=True)
class Measured:
    """A run, what its evaluation says, and how useful it is."""

    name: str
    recipe: Recipe
    steps: int
    commit: str
    """Of the code that trained it."""
    figures: dict[str, float]
    """Each metric, after one step or fed back, turned so that more is better."""
    shown: dict[str, Any]
    """``metrics.json``."""
    use: dict[str, Use]
    """By task."""
    halves: tuple[dict[str, Use], dict[str, Use]]
    """The same by every second start alone."""

    def mean(self, what: str) -> float:
        """A measure of use, mean over the tasks."""
        return mean_of(self.use, what)


def mean_of(use: dict[str, Use], what: str) -> float:
    return float(np.mean([getattr(each, what) for each in use.values()]))


def metric_of(name: str) -> str:
    """The metric of a figure's name."""
    return name.partition(", ")[0]


def figures_of(shown: dict[str, Any], seconds: float) -> dict[str, float]:
    """Each metric that is a single number, after one step and fed back, turned so that more is better.

    ``FED_BACK`` is among those that are fed back, under the name of what is measured there.
    """
    found = {metric.name: shown.get(metric.name) for metric in CATALOGUE if metric.name != FED_BACK}
    for step in HORIZONS:
        for name, curve in shown["rollouts"]["curves"][MODEL].items():
            found[f"{name}, fed back {step * seconds:g} s"] = curve[step - 1]
    return {name: -METRICS[metric_of(name)].loss(v) for name, v in found.items() if isinstance(v, (int, float))}


def measured(work: Path, data: Path, name: str) -> Measured:
    """Train a run, evaluate it and let it imagine, or read what that came to."""
    recipe, path = RECIPES[name], work / "runs" / name
    evaluation = path / "evaluation" / "metrics.json"
    if not evaluation.exists():
        options = ("--resume",) if path.exists() else ("--data", data, *recipe.words)
        say(f"training {name}")
        forearm("train", recipe.family, "--out", path, *options)
        say(f"evaluating {name}")
        counts = {"--rows": ROWS, "--rollouts": PATHS, "--horizon": STEPS, "--samples": 1}
        forearm("evaluate", path, *(word for pair in counts.items() for word in pair))
    shown, run = read_json(evaluation), Run.open(path)
    tasks = {task: Benchmark(work, path, task, STARTS, 2.0) for task in TASKS}
    whole, even, odd = (
        {task: Use.of(benchmark, starts) for task, benchmark in tasks.items()}
        for starts in (slice(None), slice(0, None, 2), slice(1, None, 2))
    )
    figures = figures_of(shown, run.layout().action_duration)
    commit = read_json(path / "machine.json").get("commit") or "unknown"
    return Measured(name, recipe, run.trained()["steps"], commit, figures, shown, whole, (even, odd))


# What the page says

OUTCOMES = {"ranks": "ranks policies", "chooses": "chooses plans"}
"""The two uses by which metrics are ordered."""


@dataclass(frozen=True)
class Related:
    """How a figure goes with the uses of runs."""

    name: str
    ranks: RankCorrelation
    chooses: RankCorrelation
    gap: RankCorrelation
    """With the gap of predicted success, turned so that more is better."""
    drawn: np.ndarray
    """(DRAWS,) mean of the first two over bootstrap draws of the runs."""
    within: float
    """That mean over the runs of the family that has most of them."""
    sure: bool = False
    """Whether both of the first two are above chance beside all others on the page, by Holm's correction."""

    @property
    def mean(self) -> float:
        return float(np.mean([self.ranks.value or 0.0, self.chooses.value or 0.0]))


def related(runs: list[Measured]) -> list[Related]:
    """Every figure that all runs have, the one that goes best with both uses first."""
    ranks, chooses, gap = (np.array([run.mean(what) for run in runs]) for what in ("ranks", "chooses", "gap"))
    family = most_frequent(runs)
    alike = np.array([run.recipe.family == family for run in runs])
    found = []
    for name in (name for name in runs[0].figures if all(name in run.figures for run in runs)):
        values = np.array([run.figures[name] for run in runs])
        with_uses = [RankCorrelation.of(values, use) for use in (ranks, chooses)]
        if any(each.value is None for each in with_uses):
            continue
        drawn = np.mean([drawn_correlations(values, use) for use in (ranks, chooses)], axis=0)
        within = np.mean([spearman(values[alike], use[alike]) for use in (ranks, chooses)])  # NaN where none varies
        found.append(Related(name, *with_uses, RankCorrelation.of(values, -gap), drawn, float(within)))
    adjusted = np.reshape(holm([each.p for of in found for each in (of.ranks, of.chooses)]), (-1, 2))
    found = [replace(of, sure=bool((p < 0.05).all())) for of, p in zip(found, adjusted, strict=True)]
    return sorted(found, key=lambda of: -of.mean)


def most_frequent(runs: list[Measured]) -> str:
    """The family that has most runs."""
    return Counter(run.recipe.family for run in runs).most_common(1)[0][0]


def apart(one: Related, other: Related) -> Figure:
    """By how much the mean correlation of one figure is above another's, with its interval over runs."""
    low, high = np.nanpercentile(one.drawn - other.drawn, [2.5, 97.5])
    return Figure(one.mean - other.mean, (float(low), float(high)))


def correlation(of: RankCorrelation) -> str:
    return "–" if of.value is None else plain(Figure(of.value, of.interval))


def decimals(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")


def kinds_table(found: list[Related]) -> list[str]:
    """Of each kind of metric, after one step and fed back, the median of its figures' mean correlations."""
    means: dict[tuple[str, str], list[float]] = {}
    for of in found:
        name, _, step = of.name.partition(", ")
        means.setdefault((METRICS[name].group, step or "one step"), []).append(of.mean)
    steps = list(dict.fromkeys(step for _, step in sorted(means, key=lambda key: (key[1] != "one step", key[1]))))
    rows = [f"| | {' | '.join(steps)} |", "|---|" + "---:|" * len(steps)]
    for kind in dict.fromkeys(metric.group for metric in CATALOGUE):
        row = [decimals(float(np.median(means.get((kind, step), [np.nan])))) for step in steps]
        rows.append(f"| {kind} | {' | '.join(row)} |")
    return [*rows, ""]


def metrics_table(found: list[Related], first: Related) -> list[str]:
    rows = [
        "| | kind | ranks policies | chooses plans | mean of both | beside `" + FIRST + "` | gap | within one family |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for of in found:
        name, _, step = of.name.partition(", ")
        label = f"`{name}`{', ' + step if step else ''}"
        mean = f"**{of.mean:.2f}**" if of.sure else f"{of.mean:.2f}"
        beside = "–" if of is first else plain(apart(of, first))
        cells = [label, METRICS[name].group, correlation(of.ranks), correlation(of.chooses), mean, beside]
        rows.append("| " + " | ".join([*cells, correlation(of.gap), decimals(of.within)]).replace("-0.", "−0.") + " |")
    return [*rows, ""]


def runs_table(runs: list[Measured]) -> list[str]:
    head = [f"{what}, {task}" for what in ("ranks", "Pearson", "chooses", "gains", "gap") for task in TASKS]
    rows = [f"| run | steps | {' | '.join(head)} |", "|---|---:|" + "---:|" * len(head)]
    for run in sorted(runs, key=lambda run: -run.mean("ranks") - run.mean("chooses")):
        cells = [f"{use.ranks:.2f}" for use in run.use.values()]
        cells += [f"{use.pearson:.2f}" for use in run.use.values()]
        cells += [f"{100 * use.chooses:.0f}" for use in run.use.values()]
        cells += [f"{use.gains:+.0f}" for use in run.use.values()]
        cells += [f"{use.gap:.0f}" for use in run.use.values()]
        rows.append(f"| {run.name} | {run.steps:,} | {' | '.join(cells).replace('-', '−')} |")
    return [*rows, ""]


EXPLAINED = f"""\
{len(RECIPES)} runs of the same data were trained for the minutes of a core that their names say, each family with its
best settings of [the search](search.md): `warp` of several lengths and seeds and without its own pictures, and
four other families (not `gpt`, which imagines slowest). *Interrupted* is a training of 45 minutes that was stopped
after 25. All are evaluated on the same held-out episodes: {ROWS} transitions, and {PATHS} paths of {STEPS}
steps along which predictions are fed back. A step lasts 0.2 s.

- *Ranks policies*: {len(SCRIPTED) + len(CLONES)} policies on {STARTS} starts in new scenes of each task, those of
  [judging policies](policies.md) but for two clones. Spearman's correlation between a policy's mean score in the dream
  and its true success in the simulator, mean over pushing and lifting. The score is the share of its way that a pushed
  object is read to come, and a classifier's for a lifted one. Dreams last as long as the longest of these
  demonstrations, truth as long as the longest of that page's 50.
- *Chooses plans*: from each start {len(SCRIPTED)} plans that see nothing, those of the scripted policies. Of two plans,
  one of which truly succeeds, the dream has to score that one higher: the share of pairs for which it does, mean over
  both tasks; chance is 50 %. That is what a planner asks of a model that is to choose among proposals. A search of its
  own for every run would cost hours; here each dream is used, and the truth is found once. Both uses rest on the same
  dreams, so they are not independent.
- *Gap*: mean over the policies of |success in the dream − in the simulator|; a smaller gap counts as better.

All correlations are Spearman's, over the runs, and turned so that above 0 a better metric goes with better use.
Intervals are of a bootstrap of the runs. **Bold**: the correlations with both of the first two are beyond chance by
Holm's correction for all of their columns, by permutation. *Within one family*: mean of both over the `warp` runs
alone.

Fixed before any result was seen: the report puts first the figure whose mean of both is greatest if the interval of
its difference from `{FIRST}`, then the first, is above 0. Else the data do not say that another is better. Further
runs, starts and clones were left out for want of time, whatever their results.
"""


def told(runs: list[Measured], found: list[Related]) -> list[str]:
    """What can be told, and what cannot."""
    best, first = found[0], named(found, FIRST)
    difference, sure = apart(best, first), sum(of.sure for of in found)
    assert isinstance(difference.interval, tuple)
    family = most_frequent(runs)
    count = sum(run.recipe.family == family for run in runs)
    with_uses = spearman(*(np.array([run.mean(what) for run in runs]) for what in OUTCOMES))
    return [
        f"The best of {len(found)} figures is `{best.name}` with a mean correlation of {best.mean:.2f}; `{FIRST}` has "
        f"{first.mean:.2f}. The difference is {plain(difference)}: "
        + ("more than chance." if difference.interval[0] > 0 else "these runs do not say that one is better.")
        + f" {sure} of {len(found)} figures go with both uses beyond chance.",
        "",
        f"There are {len(runs)} runs, of which {count} are of one family and so not independent: intervals are wide, "
        "and narrower than they should be. Metrics of the same kind are all but the same figure. The best of many "
        f"seems better than it is. The two uses have a rank correlation of {with_uses:.2f} with one another.",
        "",
        "How well a use is known limits what a metric can say of it. From every second start alone "
        + " and ".join(
            f"*{title}* has a rank correlation of {repeated(runs, what):.2f}" for what, title in OUTCOMES.items()
        )
        + " with itself from the others.",
        "",
    ]


def repeated(runs: list[Measured], what: str) -> float:
    """How well a use of runs as measured from half of the starts agrees with that from the other half."""
    even, odd = (np.array([mean_of(run.halves[half], what) for run in runs]) for half in (0, 1))
    return spearman(even, odd)


def named(found: list[Related], name: str) -> Related:
    return next(of for of in found if of.name == name)


def page(runs: list[Measured], found: list[Related]) -> str:
    head = ["# Which metric predicts use?", "", f"{circumstances()}.", f"Made by `{command()}`.", "", EXPLAINED]
    lines = [*told(runs, found), "Median of the means of both, by kind of metric:", "", *kinds_table(found)]
    lines += ["## Every metric", "", *metrics_table(found, named(found, FIRST))]
    explained = (
        "*Pearson*: as *ranks*, without ranks. *Chooses*: % of pairs. *Gains*: true success of the plan that scores "
        "best beside one drawn by lot, points. "
        f"*Gap*: points. The best runs come first. Trained at commit {', '.join(sorted({run.commit for run in runs}))}."
    )
    return "\n".join([*head, *lines, "## The runs", "", *runs_table(runs), explained, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="that of benchmarks/policies.py; runs are kept here")
    parser.add_argument("--data", type=Path, required=True, help="what the runs are trained on")
    parser.add_argument("--runs", nargs="+", default=list(RECIPES), choices=list(RECIPES), help="all by default")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = [measured(arguments.work, arguments.data, name) for name in arguments.runs]
    if len(runs) == len(RECIPES):
        write_table(arguments.out, page(runs, related(runs)))


if __name__ == "__main__":
    main()
