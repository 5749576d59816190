"""How good each family is after the same time of training, beside the baselines. One command:

    python benchmarks/quality.py
    python benchmarks/quality.py --real-train RECORDING --real-test RECORDING     # and on recordings of your own
    python benchmarks/quality.py --blind SEED     # and in further scenes, at which nobody looked before
    python benchmarks/quality.py --more-tests     # and the shoulder in known scenes, over walks and over sweeps
    python benchmarks/quality.py --size 32 --minutes 20     # smaller pictures and more time: what they converge to
    python benchmarks/quality.py --only push play --minutes 30 --families warp flow     # objects that the arm pushes
    python benchmarks/quality.py --preset so101 --device cuda --minutes 120 --only shoulder shoulder-stay   # on a GPU

records what it needs in simulation, trains every family on the same transitions with the same processor time (one
thread each, counted by the processor's clock, so that it does not matter what else the machine does; on a GPU by the
clock on the wall), evaluates them, writes a page of comparison for each test set (quality/*.html) and
docs/benchmarks/quality.md, and puts the summary into README.md and docs/results.md; tasks with objects have a page of
their own, docs/benchmarks/things.md. What is done already is not done
again, so an interrupted run goes on where it stopped.
"""

import argparse
import datetime
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, circumstances, command, insert, write_table

from forearm.evaluation import METRICS, PERSISTENCE, UNTRAINED
from forearm.evaluation.intervals import LeaveOneOut, SeedSpread, left_out_differences, too_few, verdicts
from forearm.evaluation.rollouts import FLOOR
from forearm.evaluation.samples import Samples
from forearm.evaluation.saved import MODEL, Saved
from forearm.models import family_names
from forearm.training.run import Run

TABLES = ROOT / "docs" / "benchmarks"
COLUMNS = {
    "val_mse_moves": ("MSE of moves", "{:.5f}"),
    "val_mse_dynamic": ("dynamic MSE", "{:.5f}"),
    "psnr_moves": ("PSNR of moves", "{:.2f}"),
    "ssim_moves": ("SSIM of moves", "{:.3f}"),
    "ssim_valid_moves": ("SSIM of moves, valid", "{:.3f}"),
    "sharpness": ("sharpness", "{:.2f}"),
    "motor_position_mae_mean": ("joints' MAE", "{:.4f}"),
    "acting_joint_position_mae": ("acting joint's MAE", "{:.4f}"),
    "acting_joint_direction_accuracy": ("direction", "{:.1%}"),
    "readout_position_mae": ("acting joint's MAE as read from the picture", "{:.3f}"),
    "readout_direction_accuracy": ("direction as read", "{:.1%}"),
    "k_way_accuracy": ("which action", "{:.1%}"),
    "counterfactual_mse": ("MSE, actions not taken", "{:.5f}"),
    "val_mse_action_0": ("MSE of STAY", "{:.5f}"),
}
OBJECT_COLUMNS = {
    "object_motion_slope": ("slope", "{:.2f}"),
    "object_direction_accuracy": ("direction", "{:.0%}"),
    "object_position_error": ("mm off", "{:.1f}"),
    "object_position_error_untouched": ("mm off, untouched", "{:.1f}"),
    "object_moved_balanced_accuracy": ("moved or not, balanced", "{:.0%}"),
    "object_mse_pushed": ("MSE on pushed objects", "{:.4f}"),
    "object_mse_untouched": ("MSE on untouched objects", "{:.4f}"),
}
"""Of a second table, where objects are known."""
TITLES = COLUMNS | OBJECT_COLUMNS
OF_OBJECTS = (
    "What slope, direction and mm off are is said under [things](../metrics.md#things).\n"
    "The error on untouched objects is mostly that of the arm which passes in front of them."
)
FED_BACK = 10
"""Steps after which a second figure of ``mm off`` is given."""
SUMMARY = ("val_mse_moves", "val_mse_dynamic", "ssim_moves")
"""The figures of README.md and docs/results.md."""
FLAGSHIP = "warp"
HELD_OUT = "held-out moments of the scenes and recordings of training"
TEST_SETS = {
    "new-scenes": "new scenes",
    "blind": "new scenes, drawn after everything was settled",
    "known-scenes": "new moments of the scenes of training",
    "walks": "walks in the scenes of training",
    "sweeps": "sweeps in the scenes of training",
    "new-objects": "new scenes, with objects of shapes and colours that training never showed",
    "blind-objects": "new scenes drawn after everything was settled, with objects of shapes and colours that training "
    "never showed",
    "object-walks": "ten actions in a row, in new scenes",
    "unseen": "another recording",
}
OBJECT_TASKS = ("push", "play")
SUMMARISED = ("blind", "unseen")
"""Test sets of what training never saw; new scenes too, where there are no blind ones."""


@dataclass(frozen=True)
class Recorded:
    """A recording and how it is built: options of ``forearm record`` (none: it is at ``source``) and ``build``."""

    record: tuple[str, ...]
    build: tuple[str, ...]
    source: Path | None = None


@dataclass(frozen=True)
class Task:
    """Transitions to learn from, others to be tested on besides the validation episodes, and a family's settings."""

    name: str
    title: str
    short: str
    train: Recorded
    tests: dict[str, Recorded]


Setting = float | str | bool


@dataclass(frozen=True)
class Choice:
    """What a family is trained with."""

    rate: float = 1.4e-3
    """Learning rate."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """Of the model."""


BLEND = {"mse_weight": 10.0, "charbonnier_weight": 1.0}
SQUARES = {"mse_weight": 1.0, "charbonnier_weight": 0.0}
TRIES = 6
"""How many trainings the search spent on each family, whoever it is."""
CHOSEN = {
    "diffusion": Choice(0.7e-3, SQUARES),
    "flow": Choice(1.4e-3, BLEND | {"transform": "stp"}),
    "gpt": Choice(0.7e-3, SQUARES),
    "mae": Choice(0.7e-3, SQUARES),
    "unet": Choice(2.8e-3, BLEND | {"copy": True}),
    "warp": Choice(2.8e-3, BLEND | {"mse_weight": 30.0}),
}
"""The best of each family's tries in `benchmarks/search.py`, none of whose data is reported here."""
WITH_OBJECTS: dict[str, dict[str, Setting]] = {"warp": {"joint_maps": 8, "contact": 256}}
"""A family's further settings where things are pushed, from experiments whose scenes were those of seeds 2 and 5."""
PIXELS = {"tiny": 64, "so101": 224}
SCENES = "24"
"""In every recording: scenes are what counts as independent, and few of them show little."""
WITHOUT_STAY = ("--STAY", "0")
KNOWN_SCENES = ("--scene-seed", "0")
EVERY_ACTION = ("--every-action", "--episodes", "300")
WALKS = ("--decisions", "20", "--episodes", "24")
SWEEPS = ("--decisions", "10", "--episodes", "24", "--STAY", "0", "--MOVE-", "0")
ARM = ("--joints", "shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
OBJECTS_AT_REST = ("--task", "push", *ARM)
PLAY = ("--task", "play")
HELD_OUT_OBJECTS = ("--objects", "held-out")
PUSHES = ("--single-actions", "--STAY", "1", "--MOVE+", "2", "--MOVE-", "2")
"""Half of the moves lead away from the object that the gripper stands beside."""
FIXED_CAMERA = ("--cameras", "base")
"""Where objects can be found; the camera at the wrist moves."""
PLAYED = (*FIXED_CAMERA, "--actions", "change", "--step", "0.5")
"""As planning needs it: all joints move at once, each by any amount."""
OUTCOMES = ("--actions", "change", "--step", "0.5", "--history", "2")
"""Real recordings as in all tables since the first: what came of half a second."""
ALL_TESTED = ("--val", "1")


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """What is asked for, on simulated recordings and, where there are any, on real ones."""
    pictures = ("--size", str(arguments.size or PIXELS[arguments.preset]), "--fps", "2")
    common = (*pictures, "--sessions", SCENES)

    def new_scenes(*options: str) -> dict[str, Recorded]:
        seeds = {"new-scenes": "2"} | ({"blind": str(arguments.blind)} if arguments.blind else {})
        return {name: Recorded((*options, *common, "--seed", seed), ALL_TESTED) for name, seed in seeds.items()}

    def shoulder(episodes: int, actions: tuple[str, ...]) -> tuple[Recorded, dict[str, Recorded]]:
        training = Recorded(("--episodes", str(episodes), *actions, *common), ())
        tests = new_scenes(*EVERY_ACTION)
        if not arguments.more_tests:
            return training, tests
        return training, tests | {
            "known-scenes": Recorded((*EVERY_ACTION, *common, "--seed", "1", *KNOWN_SCENES), ALL_TESTED),
            "walks": Recorded((*WALKS, *actions, *common, "--seed", "3", *KNOWN_SCENES), ALL_TESTED),
            "sweeps": Recorded((*SWEEPS, *common, "--seed", "4", *KNOWN_SCENES), ALL_TESTED),
        }

    known = [
        Task("shoulder", "Simulated shoulder_pan, 700 moves without STAY", "shoulder", *shoulder(700, WITHOUT_STAY)),
        Task(
            "shoulder-stay",
            "Simulated shoulder_pan, 1,500 actions, a third of them STAY",
            "shoulder with STAY",
            *shoulder(1500, ()),
        ),
    ]
    training = Recorded((*ARM, "--episodes", "1500", *common), ())
    tests = new_scenes(*ARM, "--every-action", "--episodes", "324")
    title = "Simulated, all six joints, 1,500 actions, a third of them STAY"
    known.append(Task("arm", title, "six joints", training, tests))
    known += [pushes(pictures, arguments.blind), play(pictures[:2], arguments.blind)]
    if arguments.real_train:
        sides = (*OUTCOMES, "--camera-lag", str(arguments.camera_lag))
        tests = {"unseen": Recorded((), (*ALL_TESTED, *sides), arguments.real_test)} if arguments.real_test else {}
        known.append(Task("real", "Real recordings", "a real arm", Recorded((), sides, arguments.real_train), tests))
    return [task for task in known if task.name in arguments.only]


def object_tests(recorded: Callable[..., Recorded], blind: int | None, *options: Any) -> dict[str, Recorded]:
    """Scenes with known and with other objects: at which nobody looked before, if a seed is given for them."""
    if blind:
        return {"blind": recorded(blind, *options), "blind-objects": recorded(blind + 1, *options, *HELD_OUT_OBJECTS)}
    return {"new-scenes": recorded(2, *options), "new-objects": recorded(5, *options, *HELD_OUT_OBJECTS)}


def pushes(pictures: tuple[str, ...], blind: int | None) -> Task:
    """Single actions beside free objects; test sets but the walks show every action from the identical state."""

    def recorded(seed: int, *options: str, val: tuple[str, ...] = ALL_TESTED) -> Recorded:
        return Recorded((*OBJECTS_AT_REST, *options, *pictures, "--seed", str(seed)), (*FIXED_CAMERA, *val))

    every_action = ("--every-action", "--episodes", "360", "--sessions", "60")
    return Task(
        "push",
        "Simulated pushes, 5,000 single actions of six joints beside objects, a fifth of them STAY",
        "pushes",
        recorded(0, *PUSHES, "--episodes", "5000", "--sessions", "250", val=()),
        object_tests(recorded, blind, *every_action)
        | {
            "object-walks": recorded(
                3, "--single-actions", "--decisions", str(FED_BACK), "--episodes", "48", "--sessions", "48"
            ),
        },
    )


def play(size: tuple[str, ...], blind: int | None) -> Task:
    """An hour of an expert that plays with objects, all joints at once."""

    def recorded(seed: int, episodes: int, sessions: int, *options: str, val: tuple[str, ...] = ALL_TESTED) -> Recorded:
        counts = ("--episodes", str(episodes), "--sessions", str(sessions))
        return Recorded((*PLAY, *options, *counts, *size, "--fps", "2", "--seed", str(seed)), (*PLAYED, *val))

    tests = object_tests(recorded, blind, 48, 48)
    return Task("play", "Simulated play with objects, one hour", "play", recorded(0, 360, 180, val=()), tests)


def forearm(*words: object) -> None:
    """A command of forearm in a process of its own, with one thread; quiet, but for its errors."""
    command = [sys.executable, "-m", "forearm", *map(str, words)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def prepared(folder: Path, name: str, recorded: Recorded, preset: str, size: int | None = None) -> Path:
    """The transitions of a recording, made if they are not there."""
    source, data = recorded.source or folder / "recordings" / name, folder / name
    if recorded.source is None and not source.exists():
        say(f"recording {source}")
        forearm("record", "--out", source, *recorded.record)
    if not data.exists():
        sides = ("--size", size) if size else ()
        forearm("build", source, "--preset", preset, *sides, "--out", data, *recorded.build)
    return data


def model_options(settings: Mapping[str, Setting]) -> list[str]:
    """A family's settings as options of ``forearm train``."""
    return [
        word for name, value in settings.items() for word in (f"--model.{name.replace('_', '-')}", str(value).lower())
    ]


def choice(family: str, task: str) -> Choice:
    """What a family is trained with for a task."""
    chosen = CHOSEN.get(family, Choice())
    further = WITH_OBJECTS.get(family, {}) if task in OBJECT_TASKS else {}
    return replace(chosen, settings={**chosen.settings, **further})


def trained(run: Path, family: str, chosen: Choice, data: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Train a run, or let it go on; one that has been evaluated is done, and keeps its note of the commit."""
    if (run / "evaluation" / "metrics.json").exists():
        return
    going = run.exists()
    say(f"{'going on with' if going else 'training'} {run}")
    clock = "cpu" if arguments.device == "cpu" else "wall"
    budget = ("--minutes", arguments.minutes, "--clock", clock, "--learning-rate", chosen.rate)
    options = ("--resume",) if going else ("--data", data, "--seed", seed, *budget, *model_options(chosen.settings))
    forearm("train", family, "--out", run, "--device", arguments.device, *options)


def evaluated(run: Path, data: Path | None, device: str) -> Path:
    """The folder of a run's evaluation, on other data than its own if some is given."""
    folder = run / ("evaluation" if data is None else f"evaluation-{data.name}")
    if not (folder / "metrics.json").exists():
        say(f"evaluating {folder}")
        forearm("evaluate", run, "--device", device, *(("--data", data) if data else ()))
    return folder


def say(text: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


# Tables


def best_after(run: Path) -> float:
    """The share of a run's training after which its validation was best: below 1 where more would not have helped."""
    validated = [entry for entry in Run.open(run).log() if "best" in entry]
    return max(entry["step"] for entry in validated if entry["best"]) / validated[-1]["step"]


def mean_of(seeds: list[Samples]) -> Samples:
    """The same samples under several seeds: their mean."""
    names = [name for name in seeds[0].sums if all(name in samples.sums for samples in seeds)]
    sums = {name: np.mean([samples.sums[name] for samples in seeds], axis=0) for name in names}
    return Samples(sums, seeds[0].weights)


@dataclass(frozen=True)
class Contender:
    """A family, by all its seeds, or a baseline, on the samples of a table."""

    seeds: list[Samples]
    kind: str
    """The family's or baseline's name."""
    baseline: bool = False

    @cached_property
    def mean(self) -> Samples:
        return mean_of(self.seeds)

    @cached_property
    def values(self) -> dict[str, Any]:
        return self.mean.table()

    def spread(self, metric: str) -> SeedSpread | None:
        """The variance of a figure over the seeds."""
        return SeedSpread.of([samples.only([metric]).table()[metric] for samples in self.seeds])  # type: ignore[misc]

    def rivals(self, metric: str) -> bool:
        """Whether it may win a column: where a baseline's rule decides the figure, it may not."""
        return isinstance(self.values.get(metric), float) and (not self.baseline or METRICS[metric].fair(self.kind))


Judged = dict[tuple[str, str, str], str | None]
"""For a metric and two rows, whether the first is "better", "worse" or "level"."""


def judged(contenders: dict[str, Contender], shown: list[str], groups: np.ndarray) -> Judged:
    """Every family beside every other row, families before baselines."""
    left_out = {who: LeaveOneOut.of(of.mean.only(shown), groups) for who, of in contenders.items()}
    apart = {}
    for one, other in itertools.combinations(contenders, 2):
        mine, theirs = contenders[one], contenders[other]
        if not mine.baseline:
            seeds = partial(
                lambda name, mine, theirs: (mine.spread(name), theirs.spread(name)), mine=mine, theirs=theirs
            )
            found = left_out_differences(left_out[one], left_out[other], seeds)
            names = [name for name in shown if mine.rivals(name) and theirs.rivals(name)]
            apart |= {(name, one, other): found[name] for name in names}
    return verdicts(apart)


@dataclass(frozen=True)
class Scored:
    """All contenders on one test set."""

    title: str
    short: str
    contenders: dict[str, Contender]
    """Families, baselines, untrained models."""
    groups: np.ndarray
    grouped_by: str
    given: frozenset[str]
    """Metrics that the action answers."""
    notes: str
    """What else is to be known."""
    costs: dict[str, tuple[str, ...]]
    """Of each family, in the last columns."""
    fed_back: Mapping[str, str] = field(default_factory=dict)
    """What is to stand in the object table's last column."""
    floor: Mapping[str, float | None] = field(default_factory=dict)
    """What the object table's figures are on the true pictures."""

    @cached_property
    def shown(self) -> list[str]:
        return [name for name in TITLES if any(isinstance(c.values.get(name), float) for c in self.contenders.values())]

    @cached_property
    def judged(self) -> Judged:
        return judged(self.contenders, self.shown, self.groups)

    @cached_property
    def best(self) -> dict[str, str]:
        """The best row of each column."""
        rivals = {name: [who for who, of in self.contenders.items() if of.rivals(name)] for name in self.shown}
        return {
            name: min(whos, key=lambda who: METRICS[name].loss(self.contenders[who].values[name]))
            for name, whos in rivals.items()
            if whos
        }

    def beside_best(self, metric: str, who: str) -> str | None:
        """Whether a row is "worse" than the best of a column or "level"; None where that cannot be said."""
        best = self.best.get(metric)
        either = {self.judged.get((metric, str(best), who)), self.judged.get((metric, who, str(best)))}
        return next(({"better": "worse", "worse": "worse"}.get(v, v) for v in either if v), None)

    def cell(self, metric: str, who: str) -> str:
        """A figure: the best of a column bold, "≈" after whatever is not surely worse than it."""
        value = self.contenders[who].values.get(metric)
        if not isinstance(value, float):
            return "–"
        text = TITLES[metric][1].format(value)
        if who == self.best.get(metric):
            return f"**{text}**" if any(self.beside_best(metric, other) for other in self.contenders) else text
        return f"{text} ≈" if self.beside_best(metric, who) == "level" else text

    @property
    def population(self) -> str:
        """How many samples, of how many independent groups."""
        count = len(np.unique(self.groups))
        return f"{len(self.groups):,} samples of {too_few(count, self.grouped_by) or f'{count} {self.grouped_by}'}"

    def lines(self) -> list[str]:
        """Tables of markdown, of the pictures and perhaps of objects."""
        none = ("–",) * len(COSTS)
        costs = {who: self.costs.get(who, none) for who in self.contenders}
        lines = self._table([name for name in self.shown if name in COLUMNS], COSTS, costs)
        objects = [name for name in self.shown if name in OBJECT_COLUMNS]
        if objects:
            more = {who: (*self._shares(who), self.fed_back.get(who, "–")) for who in self.contenders}
            lines += ["", *self._table(objects, OBJECT_EXTRAS, more), self._floor(objects)]
        return [*lines, "", f"{self.population}. {self.notes}", ""]

    def _table(self, shown: list[str], extra: tuple[str, ...], cells: Mapping[str, tuple[str, ...]]) -> list[str]:
        titles = [TITLES[name][0] + (" (given by the action)" if name in self.given else "") for name in shown]
        return [
            f"| | {' | '.join((*titles, *extra))} |",
            f"|---|{'---:|' * (len(titles) + len(extra))}",
            *(
                f"| {self.title_of(who)} | {' | '.join((*(self.cell(name, who) for name in shown), *cells[who]))} |"
                for who in self.contenders
            ),
        ]

    def _shares(self, who: str) -> list[str]:
        """The errors on pushed and on untouched objects' pixels, as shares of copying's."""
        cells = []
        for name in ("object_mse_pushed", "object_mse_untouched"):
            mine, copied = (self.contenders[row].values.get(name) for row in (who, PERSISTENCE))
            cells.append(f"{mine / copied:.0%}" if mine is not None and copied else "–")
        return cells

    def _floor(self, shown: list[str]) -> str:
        values = [self.floor.get(name) for name in shown]
        cells = [
            "–" if value is None else OBJECT_COLUMNS[name][1].format(value)
            for name, value in zip(shown, values, strict=True)
        ]
        return f"| *true pictures (the floor)* | {' | '.join((*cells, '–', '–', self.fed_back.get(FLOOR, '–')))} |"

    def title_of(self, who: str) -> str:
        count = len(self.contenders[who].seeds)
        return (
            f"*{who}*" if self.contenders[who].baseline else f"{who}, {f'{count} seeds' if count > 1 else 'one seed'}"
        )

    def level_with_best(self, metric: str) -> list[str]:
        return [who for who in self.contenders if self.beside_best(metric, who) == "level"]

    def named(self, rows: Sequence[str]) -> str:
        """Rows in a sentence: families by name, baselines as many as there are."""
        baselines = sum(self.contenders[who].baseline for who in rows)
        count = [f"{baselines} baseline{'s' * (baselines > 1)}"] if baselines else []
        return and_([who for who in rows if not self.contenders[who].baseline] + count)

    def conclusion(self) -> str:
        """Who is best on the summary's figures, in a sentence for each outcome."""
        outcomes: dict[tuple[str, ...], list[str]] = {}
        for name in SUMMARY:
            if any(self.beside_best(name, who) for who in self.contenders):
                outcomes.setdefault((self.best[name], *self.level_with_best(name)), []).append(TITLES[name][0])
        if not outcomes:
            return f"- *{self.short}*: {self.population}."
        words = [
            f"`{best}` is best on {and_(on)}, level with {self.named(level)}"
            if level
            else f"`{best}` is significantly better than every other row on {and_(on)}"
            for (best, *level), on in outcomes.items()
        ]
        return f"- *{self.short}*: {'; '.join(words)}."

    def losses(self) -> list[str]:
        """Where the flagship is not significantly better than all others, figure by figure; but not where both show
        the same digits."""
        lines = []
        for name in self.shown:
            best, mine = self.best.get(name), self.contenders[FLAGSHIP].values.get(name)
            if best is None or mine is None or name in self.given or METRICS[name].better == "nearest 1":
                continue
            title, form = TITLES[name]
            level = self.level_with_best(name)
            if best == FLAGSHIP and level:
                lines.append(f"- *{self.short}*, {title}: {form.format(mine)} is best, level with {self.named(level)}.")
                continue
            theirs = form.format(self.contenders[best].values[name])
            if best != FLAGSHIP and theirs != form.format(mine):
                verdict = {"level": "level", "worse": "significantly worse"}.get(self.beside_best(name, FLAGSHIP) or "")
                lines.append(
                    f"- *{self.short}*, {title}: {form.format(mine)}, {verdict or 'not judged'}; `{best}` has {theirs}."
                )
        return lines


COSTS = ("parameters, M", "steps", "ms")
OBJECT_EXTRAS = ("pushed, of copying's MSE", "untouched, of copying's MSE", f"mm off after {FED_BACK} fed back")


def and_(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def scored(title: str, short: str, folders: dict[str, list[Path]]) -> Scored:
    """Each family (the mean of its seeds) and each baseline, on the same samples."""
    runs = {family: [Run.open(folder.parent) for folder in seeds] for family, seeds in folders.items()}
    opened = {
        family: [Saved.open(folder, run.layout()) for folder, run in zip(folders[family], seeds, strict=True)]
        for family, seeds in runs.items()
    }
    first = next(iter(opened.values()))[0]
    contenders = {
        family: Contender([saved.samples[MODEL] for saved in seeds], family) for family, seeds in opened.items()
    }
    contenders |= {
        name: Contender([samples], name, baseline=True)
        for name, samples in first.samples.items()
        if name not in (MODEL, UNTRAINED)
    }
    contenders |= {
        f"{UNTRAINED} {family}": Contender([saved.samples[UNTRAINED] for saved in seeds], UNTRAINED, baseline=True)
        for family, seeds in opened.items()
        if all(UNTRAINED in saved.samples for saved in seeds)
    }
    figures = {family: [saved.figures for saved in seeds] for family, seeds in opened.items()}
    costs = {
        family: (
            f"{of[0]['parameters'] / 1e6:.1f}",
            f"{np.mean([each['training']['steps'] for each in of]):,.0f}",
            f"{np.median([each['latency']['single_ms'] for each in of]):.0f}",
        )
        for family, of in figures.items()
    }
    ends = {family: np.mean([best_after(run) for run in seeds]) for family, seeds in runs.items()}
    best_at = ", ".join(f"{end:.0%} ({family})" for family, end in ends.items())
    notes = [f"Validation was best after {best_at} of the training."]
    floor = (first.figures.get("readout") or {}).get("floor", {}).get("readout_position_mae")
    if floor:
        notes.append(f"The acting joint is read from true pictures with an MAE of {floor:.3f}.")
    for family, of in figures.items():
        if of[0].get("uncertainty"):
            value = of[0]["uncertainty"]["figures"]["expected_error_ratio"]
            span = of[0]["uncertainty"]["intervals"]["expected_error_ratio"]
            between = f" ({span[0]:.2f} to {span[1]:.2f})" if span else ""
            notes.append(f"The error that {family} expects is {value:.2f}{between} of the true one.")
    commits = sorted({run.machine().get("commit") or "unknown" for seeds in runs.values() for run in seeds})
    notes.append(f"Trained at commit {and_(commits)}.")
    kind, given = first.figures.get("grouped_by", "episodes"), frozenset(first.figures["given"])
    objects = first.figures.get("objects") or {}
    fed_back = object_errors_fed_back(figures)
    return Scored(
        title,
        short,
        contenders,
        first.groups,
        kind,
        given,
        " ".join(notes),
        costs,
        fed_back=fed_back,
        floor=objects.get("floor") or {},
    )


def object_errors_fed_back(figures: Mapping[str, list[Mapping[str, Any]]]) -> dict[str, str]:
    """How many millimetres pushed objects are off after ``FED_BACK`` steps, of each row; none without such rollouts."""
    rolled = {family: [each.get("rollouts") for each in of] for family, of in figures.items()}
    long = {family: of for family, of in rolled.items() if all(r and len(r["horizons"]) >= FED_BACK for r in of)}
    found: dict[str, list[Any]] = {}
    for family, of in long.items():
        found[family] = [r["curves"][MODEL].get("object_position_error") for r in of]
        curves = {**of[0]["curves"], FLOOR: of[0].get("floor") or {}}
        found |= {who: [curve.get("object_position_error")] for who, curve in curves.items() if who != MODEL}
    values = {who: [curve and curve[FED_BACK - 1] for curve in curves] for who, curves in found.items()}
    return {who: f"{np.mean(each):.1f}" for who, each in values.items() if None not in each}


def summary(found: list[Scored], budget: str) -> list[str]:
    """For README.md and docs/results.md: the sets of what training never saw, and who is best on them."""
    wanted = ("persistence", f"{UNTRAINED} {FLAGSHIP}")
    first = found[0].contenders
    rows = {who: f"`{who}`" for who in first if not first[who].baseline}
    rows |= {who: f"*{who}*" for who in wanted if who in first}

    def cell(each: Scored, who: str) -> str:
        return " / ".join(each.cell(name, who).replace("0.", ".") for name in SUMMARY)

    return [
        f"| {' / '.join(COLUMNS[name][0] for name in SUMMARY)} | {' | '.join(each.short for each in found)} |",
        f"|---|{'---|' * len(found)}",
        *(f"| {title} | {' | '.join(cell(each, who) for each in found)} |" for who, title in rows.items()),
        f"| *tested on* | {' | '.join(each.population for each in found)} |",
        "",
        f"{budget}. Bold is the best of a column, ≈ is not significantly worse than it.",
        "",
        *(each.conclusion() for each in found),
    ]


def budget_of(arguments: argparse.Namespace) -> str:
    """How long and how often each family was trained."""
    seeds = f"{arguments.seeds} seeds" if arguments.seeds > 1 else "one seed"
    if arguments.repeat and arguments.seeds > 1:
        seeds += f" of {' and '.join(arguments.repeat)}, one of the others"
    processor = "one core" if arguments.device == "cpu" else arguments.device
    return f"{arguments.minutes:g} minutes of {processor} a training, {seeds}"


def page(found: list[Scored], arguments: argparse.Namespace) -> str:
    pixels = arguments.size or PIXELS[arguments.preset]
    return "\n".join(
        [
            "# Quality at equal time of training",
            "",
            f"{circumstances()}.",
            f"`{arguments.preset}` sizes, {pixels} × {pixels} pixels a camera, {budget_of(arguments)}.",
            f"Each family is trained with the best of its {TRIES} tries in a [search](search.md) on other recordings.",
            f"Made by `{command()}`. Bold is the best of a column;",
            "≈ is not surely worse than it: the difference is below 1 % of its error, or p > .05, paired, over scenes",
            "or episodes and over seeds, by Holm's correction for all comparisons of the table, each family with every",
            "other row ([how sure](../metrics.md#how-sure)). Baselines are not compared with one another. Below 6",
            "groups nothing is marked. With one seed, marks tell about the trained models and not about families.",
            "Baselines in italics; where their rule decides a figure they are no rivals.",
            *([OF_OBJECTS] if any(name in OBJECT_COLUMNS for each in found for name in each.shown) else []),
            "",
            *(line for each in found for line in (f"## {each.title}", "", *each.lines())),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="of one processor core, for each training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--repeat", nargs="+", choices=family_names(), help="families trained with every seed")
    parser.add_argument("--families", nargs="+", choices=family_names(), default=list(family_names()))
    parser.add_argument("--real-train", type=Path, help="a LeRobot recording to learn from")
    parser.add_argument("--real-test", type=Path, help="another of the same robot, to be tested on alone")
    parser.add_argument("--camera-lag", type=float, default=0.0, help="by how many seconds real pictures are late")
    parser.add_argument(
        "--only",
        nargs="+",
        default=["shoulder", "arm", "real"],
        help="tasks: shoulder, shoulder-stay, arm, real, push, play",
    )
    parser.add_argument("--more-tests", action="store_true", help="known scenes, walks and sweeps of the shoulder too")
    parser.add_argument("--blind", type=int, help="seed of new scenes at which nobody looked before")
    parser.add_argument("--preset", choices=PIXELS, default="tiny")
    parser.add_argument("--size", type=int, help="side of the cameras' pictures, if not the preset's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=ROOT / "quality", help="a folder of its own for each size")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="trainings at a time")
    arguments = parser.parse_args()
    if strangers := set(arguments.repeat or ()) - set(arguments.families):
        parser.error(f"--repeat names {', '.join(sorted(strangers))}, which --families leaves out")
    found: dict[str, list[Scored]] = {}
    summarised = []
    for task in tasks(arguments):
        folder = arguments.work / task.name
        size = (arguments.preset, arguments.size)
        data = prepared(folder, "train", task.train, *size)
        tests = {name: prepared(folder, name, test, *size) for name, test in task.tests.items()}
        runs = {
            (family, seed): folder / "runs" / f"{family}-{seed}"
            for seed in range(arguments.seeds)
            for family in arguments.families
            if seed == 0 or family in (arguments.repeat or arguments.families)
        }

        def work(
            job: tuple[str, int], task: Task = task, data: Path = data, tests: dict = tests, runs: dict = runs
        ) -> list[Path]:
            trained(runs[job], job[0], choice(job[0], task.name), data, job[1], arguments)
            return [evaluated(runs[job], test, arguments.device) for test in (None, *tests.values())]

        with ThreadPoolExecutor(arguments.jobs) as pool:
            folders = dict(zip(runs, pool.map(work, runs), strict=True))
        for i, name in enumerate(("validation", *tests)):
            by_family = {
                f: [folders[f, s][i] for s in range(arguments.seeds) if (f, s) in folders] for f in arguments.families
            }
            what = TEST_SETS.get(name, HELD_OUT)
            each = scored(f"{task.title}: {what}", f"{task.short}, {what}", by_family)
            with_objects = task.name in OBJECT_TASKS
            found.setdefault("things" if with_objects else "quality", []).append(each)
            if not with_objects and (name in SUMMARISED or (name == "new-scenes" and not arguments.blind)):
                summarised.append(each)
            compared = arguments.work / f"{task.name}-{name}.html"
            given = ("--data", tests[name]) if name in tests else ()
            forearm("compare", *(runs[f, 0] for f in arguments.families), "--out", compared, *given)
            print(compared)
    other = (arguments.preset != "tiny", f"-{arguments.preset}"), (arguments.size, f"-{arguments.size}")
    suffix = "".join(name for differs, name in other if differs)
    for name, scores in found.items():
        write_table(TABLES / f"{name}{suffix}.md", page(scores, arguments))
    if not suffix and summarised:
        for document in (ROOT / "README.md", ROOT / "docs" / "results.md"):
            insert(document, "quality", summary(summarised, budget_of(arguments)))
        losses = [line for each in summarised for line in each.losses()] if FLAGSHIP in arguments.families else []
        insert(ROOT / "docs" / "results.md", "losses", losses)


if __name__ == "__main__":
    main()
