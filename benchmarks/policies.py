"""How well success in the dream tells success in truth: policies on pushing and lifting, in scenes that nobody was
trained on. One command:

    python benchmarks/policies.py --work FOLDER --run RUN

RUN is trained on the recordings that FOLDER/recordings holds, which are made by

    forearm record --task TASK --episodes 300 --sessions 100 --clumsiness 0.2 --size 64 --fps 5 --out TASK-good

and likewise TASK-mid (60 episodes of clumsiness 0.8) and TASK-bad (60 of 1.5), for push and lift. The benchmark records
new scenes to test in, and others to choose in, clones policies from 10 to 300 demonstrations, tries every policy from
50 starts in the dream and in the simulator, and writes docs/benchmarks/policies.md. What is done already is not done
again: an interrupted run goes on where it stopped.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from measuring import ROOT, circumstances, command, write_table
from safetensors.torch import save_file

from forearm.evaluation.agreement import Agreement, Figure
from forearm.evaluation.trials import Exploited, Rate, TrialResults, Tried
from forearm.report.trials_page import save_trials
from forearm.training.run import Run
from forearm.trials.settings import TrialSettings
from forearm.trials.starts import Demonstration, demonstrations
from forearm.trials.trial import trial
from forearm.trials.trying import Film

PAGE = ROOT / "docs" / "benchmarks" / "policies.md"
TASKS = {"push": 100, "lift": 110}
"""Each task, and by what the seeds of its recordings begin."""
CHOOSE, TEST = 8, 9
"""Last digits of the seeds of scenes to choose in and to test in."""
DEMONSTRATIONS = (10, 30, 100, 300)
SCRIPTED = (
    "replay",
    "noise:2",
    "noise:4",
    "noise:8",
    "cut:0.8",
    "cut:0.6",
    "still",
    "expert:0.5",
    "expert:1",
    "expert:1.5",
)
CLONE = ROOT / "examples" / "behaviour_cloning.py"
MEDIOCRE, K = "noise:4", 8
"""Of whose proposals the best is chosen, and how many there are."""
DREAMT = 4
"""Imagined trials of a cloned policy from each start to choose in, whose successes it learns from."""


class Benchmark:
    """One task's recordings, policies and trials, all kept in a folder."""

    def __init__(self, work: Path, run: Path, task: str, starts: int, minutes: float) -> None:
        self.work, self.run, self.task, self.starts, self.minutes = work, run, task, starts, minutes
        self.results = work / "results" / run.name / task
        self.results.mkdir(parents=True, exist_ok=True)

    def recording(self, kind: str) -> Path:
        """Scenes to choose or to test in: an expert that is as good as it can be shows what is to be done."""
        path = self.work / "recordings" / f"{self.task}-{kind}"
        if not path.exists():
            seed = TASKS[self.task] + {"choose": CHOOSE, "test": TEST}[kind]
            options = f"--episodes 50 --sessions 50 --clumsiness 0 --seed {seed} --size 64 --fps 5"
            forearm("record", "--task", self.task, *options.split(), "--out", path)
        return path

    def data(self, kind: str) -> Path:
        """A dataset of a recording, with the run's bounds."""
        path = self.work / "data" / f"{self.task}-{kind}"
        if not path.exists():
            source = self.work / "recordings" / f"{self.task}-{kind}" if kind == "good" else self.recording(kind)
            options = ["--actions", "command", "--action-is", "target", "--step", "0.2"]
            val = [] if kind == "good" else ["--val", "1"]
            forearm("build", source, *options, *val, "--bounds", self.run, "--out", path)
        return path

    def cloned(self, count: int, dreamt: bool = False) -> Path:
        """A policy cloned from so many demonstrations, and perhaps from what it then imagined to succeed."""
        path = self.work / "policies" / f"{self.task}-{count}{'-dream' if dreamt else ''}.safetensors"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            shown = list(demonstrations(self.data("good")))[:count]
            if dreamt:
                shown += self.imagined_successes(count)
            print(f"cloning {path.stem} from {len(shown)} episodes", file=sys.stderr, flush=True)
            network = cloning().learn(shown, self.minutes)
            save_file(network.state_dict(), path)
        return path

    def imagined_successes(self, count: int) -> list[Demonstration]:
        """What a cloned policy imagines to succeed, from starts to choose in."""
        found: list[Demonstration] = []

        def keep(name: str, films: Any, tried: Tried) -> None:
            good = tried.successes & ~tried.abstained
            found.extend(as_demonstration(film) for film, is_good in zip(films, good, strict=True) if is_good)

        for seed in range(DREAMT):
            settings = TrialSettings((self.policies[f"clone of {count}"],), self.data("choose"), starts=50, seed=seed)
            trial(self.run, settings, sheets=self.results / "sheets", on_films=keep)
        print(f"{len(found)} imagined successes", file=sys.stderr, flush=True)
        return found

    @property
    def policies(self) -> dict[str, str]:
        """Each policy's name on the page, and what ``--policy`` is given."""
        clones = {f"clone of {n}": f"{CLONE}:load:{self.cloned(n)}" for n in DEMONSTRATIONS}
        return {**{name: name for name in SCRIPTED}, **clones}

    def tried(self, name: str, policy: str, best_of: int = 1) -> dict[str, Any]:
        """A policy's trials, done once."""
        path = self.results / f"{name.replace(' ', '-').replace(':', '-')}{f'-best-{best_of}' * (best_of > 1)}.json"
        if not path.exists():
            print(f"{self.task}: {name}", file=sys.stderr, flush=True)
            settings = TrialSettings(
                (policy,), self.data("test"), starts=self.starts, simulator=self.recording("test"), best_of=best_of
            )
            results, shown = trial(self.run, settings, sheets=self.results / "sheets")
            save_trials(results, shown, self.run.name, path.with_suffix(".html"))
            path.write_text(json.dumps(results.to_json()), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))


def forearm(*arguments: object) -> None:
    """Run a command of forearm."""
    subprocess.run([sys.executable, "-m", "forearm", *map(str, arguments)], check=True)


def cloning() -> ModuleType:
    """The example that clones policies."""
    spec = importlib.util.spec_from_file_location("behaviour_cloning", CLONE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_demonstration(film: Film) -> Demonstration:
    """An imagined trial to learn from."""
    of, cameras = film.start.object, len(film.pictures)
    box, place = (np.full((cameras, 4), np.nan), np.full((cameras, 2), np.nan)) if of is None else (of.box, of.place)
    return Demonstration(film.pictures, film.positions, film.commands, film.start.task, box, place)


def results_of(found: dict[str, dict[str, Any]], judge: str = "auto") -> TrialResults:
    """One table of the policies' trials, by name, on the same starts."""
    first = next(iter(found.values()))
    tried = []
    for name, each in found.items():
        of = each["policies"][0]
        errors = np.array([np.nan if e is None else e for e in of["errors"]], float)
        bound = np.inf if each["bound"] is None else each["bound"]
        arrays = np.array(of["true_successes"], bool), np.array(of["true_scores"], float)
        tried.append(Tried(name, np.array(of["scores"]), errors, np.nan_to_num(errors) > bound, *arrays))
    starts = tuple(first["starts"])
    bound = np.inf if first["bound"] is None else first["bound"]
    shared = (np.arange(len(starts)), bound, first["horizon"], first["seconds"], judge)
    return TrialResults(tuple(tried), *shared, starts, tuple(first["tasks"]))


def percent(rate: Rate) -> str:
    if rate.value is None:
        return "–"
    assert isinstance(rate.interval, tuple)
    return f"{100 * rate.value:.0f} ({100 * rate.interval[0]:.0f} to {100 * rate.interval[1]:.0f})"


def plain(figure: Figure, times: float = 1, digits: int = 2) -> str:
    if figure.value is None or not isinstance(figure.interval, tuple):
        return "–"
    value, low, high = (times * each for each in (figure.value, *figure.interval))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".replace("-", "−")


EXPLAINED = """\
Each policy begins at the same starts, in the dream of the run and in the simulator: scenes whose objects, places and
light are in no training recording. A trial succeeds if the task is done in its last pictures. In the dream a judge says
so: an object that is pushed is read from the pictures, and one that is lifted is judged by a classifier; both have
learned from true pictures of the training recordings. In the simulator the simulator says so. The judge's threshold and
the bound of the expected error are fixed beforehand and nothing was tuned on these scenes.

- *replay* carries out what an expert did here. *noise:S* adds an error that drifts, of S degrees. *cut:S* stops after a
  share S of it. *expert:C* is the plan of an expert of clumsiness C, made in the true scene before the trial. *clone of
  N* has learned from N demonstrations in other scenes and sees pictures and joints.
- *judge right* says how often the judge is right about the simulator's own pictures: what it lacks to 100 no model can
  make good.
- Where the model *abstains*, some picture of the trial has a larger expected error than 99.9 % of its validation
  pictures.
"""


def table(results: TrialResults) -> list[str]:
    rows = [
        "| policy | dream, % | simulator, % | gap | abstained, % | dream without those, % | judge right, % |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in results.tried:
        dream, truth = results.rate(each), results.rate(each, truth=True)
        assert dream.value is not None
        assert truth.value is not None
        assert each.truth is not None
        assert each.true_scores is not None
        right = ((each.true_scores >= 0.5) == each.truth).mean()
        gap = f"{100 * (dream.value - truth.value):+.0f}".replace("-", "−")
        judged = percent(results.rate(each, judged=True))
        rows.append(
            f"| {each.policy} | {percent(dream)} | {percent(truth)} | {gap} | {100 * each.abstained.mean():.0f} | "
            f"{judged} | {100 * right:.0f} |"
        )
    return [*rows, ""]


def agreement(of: Agreement, judged: Agreement) -> list[str]:
    shown: list[tuple[str, Callable[[Agreement], str]]] = [
        ("Spearman", lambda a: plain(a.spearman)),
        ("Pearson", lambda a: plain(a.pearson)),
        ("mean maximum rank violation", lambda a: plain(a.mmrv)),
        ("mean gap of predicted success, points", lambda a: plain(a.gap, 100, 0)),
        ("dream − simulator, points", lambda a: plain(a.bias, 100, 0)),
        ("trials that end alike, %", lambda a: plain(a.same, 100, 0)),
    ]
    head = ["| | all trials | without those in which the model abstains |", "|---|---:|---:|"]
    return [*head, *(f"| {name} | {make(of)} | {make(judged)} |" for name, make in shown), ""]


def calibrated(of: Agreement) -> list[str]:
    words = "; ".join(
        f"{each.low:.1f} to {each.high:.1f}: {100 * each.true:.0f} % of {each.trials}" for each in of.calibration
    )
    return [f"True success by score in the dream: {words}.", ""]


def mistakes(results: TrialResults) -> list[str]:
    """What goes wrong: judge and dream apart."""
    kinds = {"succeed in the dream alone": 0, "succeed in the simulator alone": 0}
    judged = {"read as successes though they fail": 0, "read as failures though they succeed": 0}
    trials = 0
    for each in results.tried:
        assert each.truth is not None
        assert each.true_scores is not None
        read = each.true_scores >= 0.5
        trials += len(read)
        kinds["succeed in the dream alone"] += int((each.successes & ~each.truth).sum())
        kinds["succeed in the simulator alone"] += int((~each.successes & each.truth).sum())
        judged["read as successes though they fail"] += int((read & ~each.truth).sum())
        judged["read as failures though they succeed"] += int((~read & each.truth).sum())
    told = " and ".join(f"{count} {what}" for what, count in kinds.items())
    read_words = " and ".join(f"{count} are {what}" for what, count in judged.items())
    return [f"Of {trials} trials {told}. On the simulator's own pictures {read_words}.", ""]


def best_of(found: dict[str, Any]) -> list[str]:
    gain = found["best_of"][0]
    of = Exploited(gain["policy"], tuple(gain["k"]), tuple(gain["imagined"]), tuple(gain["true"]))
    assert of.true is not None
    assert of.exploitation is not None
    rows = [
        f"| {k} | {100 * a:.0f} | {100 * b:.0f} | {100 * c:+.0f} |".replace("-", "−")
        for k, a, b, c in zip(of.k, of.imagined, of.true, of.exploitation, strict=True)
    ]
    low, high = gain["lift"]["interval"]
    lift = f"{100 * gain['lift']['value']:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})".replace("-", "−")
    head = ["| K | success in the dream, % | in the simulator, % | apart, points |", "|---:|---:|---:|---:|"]
    told = f"Of {of.policy}, the best of {of.k[-1]} proposals in the dream changes true success by {lift}."
    return [told, "", *head, *rows, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="recordings, policies and trials are kept here")
    parser.add_argument("--run", type=Path, required=True, help="the run that imagines")
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=3.0, help="of a core, for each cloned policy")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trained = Run.open(arguments.run).trained()
    lines = ["# Policies judged in the dream", "", f"{circumstances()}.", f"Made by `{command()}`.", ""]
    family, minutes = Run.open(arguments.run).config()["family"], trained["seconds"] / 60
    lines += [f"The run is a `{family}` of {trained['steps']:,} steps ({minutes:.0f} minutes).", "", EXPLAINED]
    for task in arguments.tasks:
        benchmark = Benchmark(arguments.work, arguments.run, task, arguments.starts, arguments.minutes)
        found = {name: benchmark.tried(name, policy) for name, policy in benchmark.policies.items()}
        results = results_of(found)
        assert results.agreement is not None
        lines += [f"## {task}", "", *table(results), *agreement(*results.agreement), *calibrated(results.agreement[0])]
        lines += [*mistakes(results), f"### Best of {K}", ""]
        lines += best_of(benchmark.tried(MEDIOCRE, MEDIOCRE, K))
        lines += ["### Cloned from imagined successes", "", *dreamt_table(benchmark, found)]
    write_table(arguments.out, "\n".join(lines))


def dreamt_table(benchmark: Benchmark, found: dict[str, dict[str, Any]]) -> list[str]:
    """A policy that has also learned from what it imagined to succeed, beside the same without."""
    count = DEMONSTRATIONS[1]
    name = f"clone of {count} and of its dreams"
    later = benchmark.tried(name, f"{CLONE}:load:{benchmark.cloned(count, dreamt=True)}")
    both = results_of({name: later, f"clone of {count}": found[f"clone of {count}"]})
    lift = both.compared[0].truth
    assert lift is not None
    low, high = lift.interval
    change = f"{100 * lift.value:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})".replace("-", "−")
    rates = [percent(both.rate(each, truth=True)) for each in both.tried]
    return [f"True success: {rates[0]} with, {rates[1]} without what it imagined to succeed: {change}.", ""]


if __name__ == "__main__":
    main()
