"""What is left when a command is killed. One command, some minutes:

    python benchmarks/kills.py [--rounds 5] [--minutes 8] [--seed 0] [--learn 30]

kills each command that writes with kill −9 at random moments of its work, lets it go on until it ends, and compares: no
target is ever half written; what comes out is what an unbroken command writes; a training that was killed and resumed
is equal to the bit; neither files nor processes stay behind. It writes docs/benchmarks/kills.md.

With ``--learn N`` it kills ``forearm learn`` alone, N times, each time going on where the kill before left it, and
writes docs/benchmarks/kills-learn.md: no action that was recorded is lost, and what comes out is what an unbroken
command writes.

Every command runs in a fork of this process, which has imported everything, so that a kill falls into its work.
"""

import argparse
import hashlib
import io
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measuring import ROOT, circumstances, command, write_table

TABLE = ROOT / "docs/benchmarks/kills.md"
RECORD = ("--episodes", "6", "--size", "32", "--fps", "10", "--processes", "2")
TRAIN = (
    "--data",
    "data",
    "--steps",
    "40",
    "--evaluate-every",
    "10",
    "--workers",
    "1",
    "--device",
    "cpu",
    "--size",
    "tiny",
)
SMALL = (
    *("--model.width", "32", "--model.depth", "1", "--model.heads", "2"),
    *("--model.decoder-width", "16", "--model.decoder-depth", "1", "--model.decoder-heads", "2"),
)
EVALUATE = ("--rollouts", "2", "--horizon", "2", "--device", "cpu")
PLAN = ("--start", "0", "--like", "3", "--steps", "2", "--device", "cpu")
LEARN = (
    *("learn", "run", "--simulator", "7", "--out", "learned", "--choose", "past-error", "--no-page"),
    *("--actions", "12", "--verify", "2", "--explore", "4", "--locked", "4", "--wide", "4", "--wide-scenes", "2"),
    *("--rearrange-every", "4", "--steps", "6", "--device", "cpu"),
)
LEARN_TABLE = ROOT / "docs/benchmarks/kills-learn.md"

VARIES = re.compile(
    rb'"[^"]*(built|date|seconds|samples_per_s|feeding|latency|_ms)[^"]*": *("[^"]*"|[\d.e+-]+|\[[^]]*\])'
)
"""Times, which differ from run to run of the same command."""


@dataclass
class Case:
    """A command, the words that may replace it once it was killed, and what it writes."""

    name: str
    args: tuple[str, ...]
    target: str
    again: Callable[["Case"], tuple[str, ...]] = lambda case: case.args
    prepare: Callable[[], object] = lambda: None
    """Before each round: what an earlier command left there."""
    states: list[dict[str, str]] = field(default_factory=list)
    """The whole states in which the target may be found after a kill."""
    goal: dict[str, str] = field(default_factory=dict)
    """What the unbroken command wrote."""
    seconds: float = 0.0
    kills: int = 0
    in_work: int = 0
    """Kills that found the command at work."""
    met: dict[str, int] = field(default_factory=dict)
    """How the target was found after the kills."""


def begin(args: tuple[str, ...]) -> int:
    """Start a command in a fork, as a shell would; return its process id."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["forearm", *args]
    code = 1
    try:
        from forearm.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def run(args: tuple[str, ...]) -> float:
    """Run a command to its end; return the seconds it took."""
    began = time.perf_counter()
    _, status = os.waitpid(begin(args), 0)
    if status:
        raise SystemExit(f"{' '.join(args)} ended with {status}: {Path('said.txt').read_text()[-600:]}")
    return time.perf_counter() - began


def kill_within(args: tuple[str, ...], seconds: float) -> bool:
    """Kill a command after some seconds; whether it was still at work. Its processes have to end with it."""
    process, ended = begin(args), (0, 0)
    until = time.monotonic() + seconds
    while time.monotonic() < until and (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        time.sleep(0.002)
    if ended[0] == 0:
        os.kill(process, signal.SIGKILL)
        ended = os.waitpid(process, 0)
    until = time.monotonic() + 10
    while (left := list(session_of(process))) and time.monotonic() < until:
        time.sleep(0.01)
    if left:
        raise SystemExit(f"{' '.join(args)} was killed, but its processes {left} live on")
    return os.WIFSIGNALED(ended[1])


def session_of(leader: int) -> Iterator[int]:
    """The processes that a command started and that still live."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            yield int(entry.parent.name)


def contents(target: Path) -> dict[str, str]:
    """A digest of every file of a target, times left out; empty where it is absent."""
    files = [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
    return {str(path.relative_to(target.parent)): digest(path) for path in files}


def digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".npz":  # a zip holds times
        import numpy as np

        with np.load(io.BytesIO(content)) as arrays:
            content = b"".join(name.encode() + arrays[name].tobytes() for name in arrays.files)
    elif path.name == "resume.safetensors":  # it holds the seconds of training
        from forearm.training.run import read_tensors

        tensors, metadata = read_tensors(path)
        content = b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors))
        content += VARIES.sub(b"", metadata["progress"].encode())
    elif path.suffix == ".html":  # latencies stand in its text and its figures
        counts = [content.count(word) for word in (b"<img", b"<tr", b"the earlier", b"the later")]
        content = f"{content.rstrip().endswith(b'</html>')} {counts}".encode()
    elif path.suffix in (".json", ".jsonl"):
        content = VARIES.sub(b"", content)
    return hashlib.sha256(content).hexdigest()[:12]


def whole_run(target: Path) -> str:
    """What a run holds after a kill; every file of it has to be whole.

    Raises:
        Exception: a file is half written.
    """
    import safetensors
    from PIL import Image

    from forearm.training.run import Run

    if not target.exists():
        return "absent"
    run = Run.open(target)
    run.training(), run.layout(), run.log()
    for path in target.glob("*.safetensors"):
        with safetensors.safe_open(path, "pt") as file:
            [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
    for path in target.glob("samples/*.png"):
        Image.open(path).load()
    last = [entry["step"] for entry in run.log()]
    return f"past step {max(last) // 6 * 6}" if last else "begun"


def cases() -> list[Case]:
    def evaluated(notes: str) -> tuple[str, ...]:
        return ("evaluate", "run", "--notes", notes, "--samples", "2" if notes == "a.txt" else "3", *EVALUATE)

    def restore(name: str) -> Callable[[], object]:
        return lambda: (shutil.rmtree(name, ignore_errors=True), shutil.copytree(f"kept/{name}", name))

    return [
        Case("record", ("record", "--out", "recording", *RECORD), "recording"),
        Case("build", ("build", "recording", "--out", "data", "--size", "32"), "data"),
        Case("combine", ("combine", "data", "more", "--out", "both"), "both"),
        Case(
            "train, resume",
            ("train", "mae", "--out", "run", *TRAIN, *SMALL),
            "run",
            again=lambda case: (
                ("train", "--out", "run", "--resume", "--device", "cpu") if Path("run").exists() else case.args
            ),
        ),
        Case("evaluate", evaluated("b.txt"), "run/evaluation", prepare=restore("run")),
        Case("compare", ("compare", "run", "other", "--out", "page.html", "--device", "cpu"), "page.html"),
        Case("inspect", ("inspect", "run", "--html", "look.html", "--device", "cpu", "--samples", "20"), "look.html"),
        Case("plan", ("plan", "run", *PLAN, "--out", "plan"), "plan"),
    ]


def clear(case: Case) -> None:
    target = Path(case.target)
    shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
    case.prepare()


def unbroken(case: Case) -> None:
    """Run a command without a kill, for its time and its result."""
    if case.name == "combine":
        run(("build", "recording", "--out", "more", "--size", "32"))
    if case.name == "evaluate":
        Path("a.txt").write_text("the earlier evaluation\n")
        Path("b.txt").write_text("the later evaluation\n")
        run((*case.args[:3], "a.txt", "--samples", "2", *EVALUATE))
        Path("kept").mkdir()
        shutil.copytree("run", "kept/run")
        shutil.copytree("run", "other")
        case.states.append(contents(Path(case.target)))
    clear(case)
    case.seconds = run(case.args)
    case.goal = contents(Path(case.target))
    case.states += [{}, case.goal]


def killed(case: Case, chance: random.Random) -> None:
    """Kill a command until it has ended by itself or three times; then let it end, and compare."""
    clear(case)
    target = Path(case.target)
    for _ in range(3 if "resume" in case.name else 1):
        case.in_work += kill_within(case.again(case) if target.exists() else case.args, chance.uniform(0, case.seconds))
        case.kills += 1
        if "resume" in case.name:
            state = whole_run(target)
        else:
            found = contents(target)
            if found not in case.states:
                raise SystemExit(f"{case.name}: after a kill {target} is neither absent, the earlier nor the new one")
            state = "absent" if not found else "new" if found == case.goal else "earlier"
        case.met[state] = case.met.get(state, 0) + 1
    finished = not target.is_symlink() and contents(target) == case.goal
    if not finished:
        run(case.again(case) if target.exists() else case.args)
    after = contents(target)
    if after != case.goal:
        differing = sorted(name for name in after.keys() | case.goal.keys() if after.get(name) != case.goal.get(name))
        raise SystemExit(f"{case.name}: the command that went on wrote other {', '.join(differing)}")
    left = [str(path) for path in Path().rglob("*") if re.search(r"\.(partial|lock|before|new)$", path.name)]
    if left and not finished:
        raise SystemExit(f"{case.name}: {', '.join(left)} stay behind")


def recorded(folder: Path) -> dict[str, list]:
    """The trials of each recording of a folder of learning, each of which has to be whole."""
    from forearm.learning.folder import LearnFolder

    names = {path.name.removesuffix(".partial") for path in folder.glob("recordings/[!.]*")}
    return {name: LearnFolder(folder).trials(name) for name in sorted(names)}


def learning_killed(kills: int, chance: random.Random) -> str:
    """Kill ``forearm learn`` so often; what was found after the kills, in words, and whether anything was lost."""
    run(("record", "--out", "recording", *RECORD))
    run(("build", "recording", "--out", "data", "--size", "32"))
    run(("train", "mae", "--out", "run", *TRAIN, *SMALL))
    seconds, folder = run(LEARN), Path("learned")
    goal, whole = contents(folder), recorded(folder)
    shutil.rmtree(folder)
    done = in_work = rounds = 0
    while done < kills:
        rounds += 1
        ended = False
        while not ended and done < kills:
            before = recorded(folder)
            if kill_within(LEARN, chance.uniform(0, seconds / 3)):
                done, in_work = done + 1, in_work + 1
            else:
                ended = True
            for name, trials in recorded(folder).items():
                if trials != whole[name][: len(trials)] or len(trials) < len(before.get(name, [])):
                    raise SystemExit(f"after a kill {name} has lost or changed an action")
            print(f"{done} kills; {sum(map(len, recorded(folder).values()))} actions recorded", flush=True)
        run(LEARN)
        after = contents(folder)
        if after != goal:
            differing = sorted(name for name in after.keys() | goal.keys() if after.get(name) != goal.get(name))
            raise SystemExit(f"learning that went on wrote other {', '.join(differing)}")
        shutil.rmtree(folder)
    actions, times = sum(map(len, whole.values())), f"{rounds} round{'s' * (rounds > 1)}"
    return (
        f"{in_work} × kill −9 at random moments of `forearm learn`, in {times}; after each the same command went on. "
        f"One unbroken round takes {seconds:.0f} s: {actions} actions in the simulator, two trainings. After no kill "
        "an action was missing that had been there before, and each round ended with the files of the unbroken one: "
        "recordings, datasets, weights and cycles, equal to the bit but for times."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learn", type=int, default=0)
    args = parser.parse_args()
    import forearm.sim  # before MuJoCo is imported by anything else

    for name in forearm.__all__:  # each imports what its command needs
        getattr(forearm, name)
    chance, began, done = random.Random(args.seed), time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if args.learn:
            found = learning_killed(args.learn, chance)
            os.chdir(ROOT)
            write_table(LEARN_TABLE, f"# Kills of learning\n\n{circumstances()}. Made by `{command()}`.\n\n{found}\n")
            return
        for case in cases():
            unbroken(case)
            done.append(case)
            for _ in range(args.rounds):
                if time.monotonic() - began > 60 * args.minutes:
                    raise SystemExit(f"not done within {args.minutes:g} minutes")
                killed(case, chance)
            print(case.name, case.kills, "kills,", case.in_work, "at work; found:", case.met, flush=True)
        os.chdir(ROOT)
    rows = [
        f"| `{case.name}` | {case.seconds:.1f} | {case.kills} | {case.in_work} | "
        + ", ".join(f"{state} {count}" for state, count in sorted(case.met.items()))
        + " |"
        for case in done
    ]
    total, at_work = sum(case.kills for case in done), sum(case.in_work for case in done)
    write_table(
        TABLE,
        f"# Kills\n\n{circumstances()}. Made by `python benchmarks/kills.py` in {(time.monotonic() - began) / 60:.1f} "
        f"minutes.\n\n{total} × kill −9 at random moments, {at_work} of them while the command was at work. After each "
        "the target was absent, the earlier or the new one as a whole. Each command that went on wrote what an "
        "unbroken one writes; a training that was killed three times and resumed has the same weights to the bit. "
        "No process stayed behind, and no file where a command went on.\n\n"
        "| command | seconds | kills | at work | found after the kills |\n|---|---:|---:|---:|---|\n"
        + "\n".join(rows)
        + "\n",
    )


if __name__ == "__main__":
    main()
