"""How good each family is after the same time of training, beside the baselines. One command:

    python benchmarks/quality.py
    python benchmarks/quality.py --real-train RECORDING --real-test RECORDING     # and on recordings of your own
    python benchmarks/quality.py --more-tests     # and the shoulder in known scenes, over walks and over sweeps
    python benchmarks/quality.py --size 32 --minutes 20     # smaller pictures and more time: what they converge to
    python benchmarks/quality.py --preset so101 --device cuda --minutes 120 --only shoulder shoulder-stay   # on a GPU

records what it needs in simulation, trains every family on the same transitions with the same processor time (one
thread each, counted by the processor's clock, so that it does not matter what else the machine does; on a GPU by the
clock on the wall), evaluates them, writes a page of comparison for each test set (quality/*.html) and
docs/benchmarks/quality.md. What is done already is not done again, so an interrupted run goes on where it stopped.
"""

import argparse
import datetime
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, circumstances, write_table

from forearm.evaluation import METRICS, UNTRAINED
from forearm.evaluation.intervals import Difference, SeedSpread, differences, too_few, verdicts
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
PIXELS = {"tiny": 64, "so101": 224}
SCENES = "24"
"""In every recording: scenes are what counts as independent, and few of them show little."""
WITHOUT_STAY = ("--STAY", "0")
KNOWN_SCENES = ("--scene-seed", "0")
EVERY_ACTION = ("--every-action", "--episodes", "300")
WALKS = ("--decisions", "20", "--episodes", "24")
SWEEPS = ("--decisions", "10", "--episodes", "24", "--STAY", "0", "--MOVE-", "0")
ARM = ("--joints", "shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
ALL_TESTED = ("--val", "1")


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """What is asked for, on simulated recordings and, where there are any, on real ones."""
    pictures = ("--size", str(arguments.size or PIXELS[arguments.preset]), "--fps", "2")
    common = (*pictures, "--sessions", SCENES)

    def shoulder(episodes: int, actions: tuple[str, ...]) -> tuple[Recorded, dict[str, Recorded]]:
        training = Recorded(("--episodes", str(episodes), *actions, *common), ())
        tests = {"new-scenes": Recorded((*EVERY_ACTION, *common, "--seed", "2"), ALL_TESTED)}
        if not arguments.more_tests:
            return training, tests
        return training, tests | {
            "known-scenes": Recorded((*EVERY_ACTION, *common, "--seed", "1", *KNOWN_SCENES), ALL_TESTED),
            "walks": Recorded((*WALKS, *actions, *common, "--seed", "3", *KNOWN_SCENES), ALL_TESTED),
            "sweeps": Recorded((*SWEEPS, *common, "--seed", "4", *KNOWN_SCENES), ALL_TESTED),
        }

    known = [
        Task("shoulder", "Simulated shoulder_pan, 700 moves without STAY", *shoulder(700, WITHOUT_STAY)),
        Task(
            "shoulder-stay",
            "Simulated shoulder_pan, 1,500 actions, a third of them STAY",
            *shoulder(1500, ()),
        ),
    ]
    training = Recorded((*ARM, "--episodes", "1500", *common), ())
    tests = {"new-scenes": Recorded((*ARM, "--every-action", "--episodes", "324", *common, "--seed", "2"), ALL_TESTED)}
    known.append(Task("arm", "Simulated, all six joints, 1,500 actions, a third of them STAY", training, tests))
    if arguments.real_train:
        late = ("--camera-lag", str(arguments.camera_lag))
        tests = {"unseen": Recorded((), (*ALL_TESTED, *late), arguments.real_test)} if arguments.real_test else {}
        known.append(Task("real", "Real recordings", Recorded((), late, arguments.real_train), tests))
    return [task for task in known if task.name in arguments.only]


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


def trained(run: Path, family: str, data: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Train a run, or let it go on."""
    going = run.exists()
    say(f"{'going on with' if going else 'training'} {run}")
    clock = "cpu" if arguments.device == "cpu" else "wall"
    chosen = CHOSEN.get(family, Choice())
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


def with_moves(samples: Samples) -> Samples:
    """The same samples with PSNR without STAY, where copying is all but perfect."""
    moves = 1 - samples.weights["val_mse_action_0"]
    return samples | Samples({"psnr_moves": samples.sums["psnr"] * moves}, {"psnr_moves": moves})


def mean_of(seeds: list[Samples]) -> Samples:
    """The same samples under several seeds: their mean."""
    sums = {name: np.mean([samples.sums[name] for samples in seeds], axis=0) for name in seeds[0].sums}
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

    def minus(self, other: "Contender", metric: str, groups: np.ndarray) -> Difference | None:
        """The difference of a figure from another's, paired."""
        mine, theirs = (of.mean.only([metric]) for of in (self, other))
        return differences(mine, theirs, groups, lambda name: (self.spread(name), other.spread(name)))[metric]


def marks(contenders: dict[str, Contender], shown: list[str], groups: np.ndarray) -> dict[tuple[str, str], str]:
    """How a column's cell is shown: the best of a column bold, "≈" after whatever is not surely worse than it."""
    best, apart = {}, {}
    for name in shown:
        metric = METRICS[name]
        rivals = {
            who: of.values[name]
            for who, of in contenders.items()
            if isinstance(of.values.get(name), float) and (not of.baseline or metric.fair(of.kind))
        }
        best[name] = min(rivals, key=lambda who: metric.loss(rivals[who]))
        for who in rivals.keys() - {best[name]}:
            apart[name, who] = contenders[best[name]].minus(contenders[who], name, groups)
    judged = verdicts(apart)
    level = {key: "{} ≈" for key, verdict in judged.items() if verdict == "level"}
    return {(name, best[name]): "**{}**" for name, who in judged if judged[name, who]} | level


def table(folders: dict[str, list[Path]]) -> list[str]:
    """Rows of markdown: each family (the mean of its seeds) and each baseline, on the same samples."""
    opened = {
        family: [Saved.open(folder, Run.open(folder.parent).layout()) for folder in seeds]
        for family, seeds in folders.items()
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
    shown = [name for name in COLUMNS if any(isinstance(of.values.get(name), float) for of in contenders.values())]
    marked = marks(contenders, shown, first.groups)

    def cell(column: str, name: str) -> str:
        value = contenders[name].values.get(column)
        text = COLUMNS[column][1].format(value) if isinstance(value, float) else "–"
        return marked.get((column, name), "{}").format(text)

    def title(name: str) -> str:
        count = len(contenders[name].seeds)
        return f"*{name}*" if contenders[name].baseline else f"{name}, {f'{count} seeds' if count > 1 else 'one seed'}"

    ends = {family: np.mean([best_after(folder.parent) for folder in seeds]) for family, seeds in folders.items()}
    latency = {f: np.median([s.figures["latency"]["single_ms"] for s in seeds]) for f, seeds in opened.items()}
    titles = [COLUMNS[name][0] + (" (given by the action)" if name in first.figures["given"] else "") for name in shown]
    count, kind = len(np.unique(first.groups)), first.figures.get("grouped_by", "episodes")
    of_truth = (first.figures.get("readout") or {}).get("floor", {}).get("readout_position_mae")
    floor = f" The acting joint is read from true pictures with an MAE of {of_truth:.3f}." if of_truth else ""
    return [
        f"| | {' | '.join(titles)} | ms |",
        f"|---|{'---:|' * (len(shown) + 1)}",
        *(
            f"| {title(name)} | {' | '.join(cell(column, name) for column in shown)} | "
            f"{f'{latency[name]:.0f}' if name in latency else '–'} |"
            for name in contenders
        ),
        "",
        f"{len(first.rows)} samples of {too_few(count, kind) or f'{count} {kind}'}. Validation was best after "
        f"{', '.join(f'{share:.0%} ({family})' for family, share in ends.items())} of the training.{floor}",
        "",
    ]


def page(sections: list[tuple[str, list[str]]], arguments: argparse.Namespace) -> str:
    seeds = f"{arguments.seeds} seed{'s' if arguments.seeds > 1 else ''}"
    if arguments.repeat and arguments.seeds > 1:
        seeds += f" of {' and '.join(arguments.repeat)}, 1 of the others"
    pixels = arguments.size or PIXELS[arguments.preset]
    processor = "one core" if arguments.device == "cpu" else arguments.device
    return "\n".join(
        [
            "# Quality at equal time of training",
            "",
            f"{circumstances()}. `{arguments.preset}` sizes, {pixels} × {pixels} pixels a camera, {seeds}, "
            f"{arguments.minutes:g} minutes of {processor} a training.",
            f"Each family is trained with the best of its {TRIES} tries in a [search](search.md) on other recordings.",
            "Made by `python benchmarks/quality.py`. Bold is the best of a column; ≈ is not surely worse than it: the",
            "difference is below 1 % of its error, or p > .05, paired, over scenes or episodes and over seeds, by",
            "Holm's correction for each table ([how sure](../metrics.md#how-sure)). Below 6 groups nothing is",
            "marked. With one seed, marks tell about the trained models and not about their families. Baselines in",
            "italics; where their rule decides a figure they are no rivals.",
            "",
            *(line for title, lines in sections for line in (f"## {title}", "", *lines)),
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
        "--only", nargs="+", default=["shoulder", "arm", "real"], help="tasks: shoulder, shoulder-stay, arm, real"
    )
    parser.add_argument("--more-tests", action="store_true", help="known scenes, walks and sweeps of the shoulder too")
    parser.add_argument("--preset", choices=PIXELS, default="tiny")
    parser.add_argument("--size", type=int, help="side of the cameras' pictures, if not the preset's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=ROOT / "quality", help="a folder of its own for each size")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="trainings at a time")
    arguments = parser.parse_args()
    if strangers := set(arguments.repeat or ()) - set(arguments.families):
        parser.error(f"--repeat names {', '.join(sorted(strangers))}, which --families leaves out")
    sections = []
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

        def work(job: tuple[str, int], data: Path = data, tests: dict = tests, runs: dict = runs) -> list[Path]:
            trained(runs[job], job[0], data, job[1], arguments)
            return [evaluated(runs[job], test, arguments.device) for test in (None, *tests.values())]

        with ThreadPoolExecutor(arguments.jobs) as pool:
            folders = dict(zip(runs, pool.map(work, runs), strict=True))
        for i, name in enumerate(("validation", *tests)):
            by_family = {
                f: [folders[f, s][i] for s in range(arguments.seeds) if (f, s) in folders] for f in arguments.families
            }
            sections.append((f"{task.title}: {name}", table(by_family)))
            compared = arguments.work / f"{task.name}-{name}.html"
            given = ("--data", tests[name]) if name in tests else ()
            forearm("compare", *(runs[f, 0] for f in arguments.families), "--out", compared, *given)
            print(compared)
    other = (arguments.preset != "tiny", f"-{arguments.preset}"), (arguments.size, f"-{arguments.size}")
    written = TABLES / f"quality{''.join(name for differs, name in other if differs)}.md"
    write_table(written, page(sections, arguments))


if __name__ == "__main__":
    main()
