"""What ``scripts/gpu_job.sh`` runs: phases that each have a time limit and leave their results at once in one folder.

RESULTS/results.json holds all figures (``scripts/gpu_results.py`` makes a table of them); beside it lie the report of
the chief run, a page that compares the families, and sample pictures. A phase that fails or runs out of time is noted
there, and the next begins. Rates and batch sizes are set before anything is seen; nothing is tuned on the test sets.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent
sys.path.insert(0, str(SCRIPTS))
from gpu_pack import COMMON, RECORDINGS  # noqa: E402

DATASETS = {
    "700": (("moves",), ()),
    "1500": (("moves", "more"), ()),
    "known-scenes": (("known-scenes",), ("--val", "1")),
    "new-scenes": (("new-scenes",), ("--val", "1")),
}
"""Recordings and options of ``forearm build``."""
TESTS = ("val", "known-scenes", "new-scenes")
RUNS = {"warp-700": ("warp", "700"), "mae-700": ("mae", "700"), "warp-1500": ("warp", "1500")}
CHIEF = "warp-700"
SETTINGS = {"warp": ("--model.mse-weight", "10")}
"""What suits simulated pictures (docs/results.md)."""
STARTUP, EVALUATION, BENCH = 20, 105, 60
"""Seconds kept for the start of a training and its last validation, for the evaluations of a run, for the bench."""
PATIENCE = 10
"""Seconds that processes have to end when they are asked to."""
LEAST = 30
"""Seconds below which training is not begun."""
MOST_BYTES = 16e6
"""Of a file among the results."""
GPU_FIELDS = ("utilization.gpu", "utilization.memory", "memory.used", "power.draw", "clocks.sm")


class Job:
    """The results so far, written after every phase, and the time that is left."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.out: Path = arguments.out
        self.work: Path = arguments.work
        self.end = time.monotonic() + arguments.seconds
        self.results: dict[str, Any] = {
            "phases": {},
            "runs": {},
            "options": {k: str(v) for k, v in vars(arguments).items()},
        }

    def left(self) -> float:
        """Seconds until the job has to end."""
        return self.end - time.monotonic()

    def save(self) -> None:
        """Write what is known so far, whole or not at all."""
        beside = self.out / "results.json.new"
        beside.write_text(json.dumps(self.results, indent=1))
        os.replace(beside, self.out / "results.json")

    @contextlib.contextmanager
    def phase(self, name: str, needed: bool = False) -> Iterator[None]:
        """A phase: its failure is noted, and the job goes on unless all the rest needs this phase."""
        begin, note = time.monotonic(), "done"
        print(f"== {name}: {self.left():.0f} s left", flush=True)
        try:
            yield
        except Exception as error:
            note = f"{type(error).__name__}: {error}"
            print(f"!! {name}: {note}", flush=True)
        self.results["phases"][name] = {"seconds": round(time.monotonic() - begin, 1), "outcome": note}
        self.save()
        if needed and note != "done":
            raise SystemExit(f"nothing can be done without: {name}")


def started(words: list[object], threads: int, **more: Any) -> subprocess.Popen:
    """A Python process of its own, with so many threads."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen([sys.executable, *map(str, words)], env=environment, text=True, **more)


def finish(processes: dict[str, subprocess.Popen], limit: float) -> None:
    """Wait for processes for ``limit`` seconds together; end those that take longer.

    Raises:
        RuntimeError: names those that failed or took too long.
    """
    end, late, wrong = time.monotonic() + limit, [], []
    for name, process in processes.items():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        if process.returncode is None:
            late.append(process)
            process.terminate()  # a training then keeps what it has
            wrong.append(f"{name} took longer than {limit:.0f} s")
        elif process.returncode:
            wrong.append(f"{name} failed with exit code {process.returncode}")
    end = time.monotonic() + PATIENCE
    for process in late:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        process.kill()
    if wrong:
        raise RuntimeError("; ".join(wrong))


def forearm(*words: object, threads: int = 2) -> subprocess.Popen:
    return started(["-m", "forearm", *words], threads)


class GpuWatch:
    """Asks nvidia-smi twice a second."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, list[float]]] = []
        if shutil.which("nvidia-smi"):
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits"]
        while True:
            line = subprocess.run(query, capture_output=True, text=True).stdout
            with contextlib.suppress(ValueError):
                self.samples.append((time.time(), [float(value) for value in line.split(",")]))
            time.sleep(0.5)

    def between(self, begin: float, end: float) -> dict[str, Any] | None:
        """Mean and percentiles of each figure in a stretch of time; None where nothing was sampled."""
        rows = [values for at, values in self.samples if begin <= at <= end and len(values) == len(GPU_FIELDS)]
        if not rows:
            return None
        figures: dict[str, Any] = {"samples": len(rows)}
        for name, values in zip(GPU_FIELDS, zip(*rows, strict=True), strict=True):
            ordered = sorted(values)
            low, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.1, 0.9))
            figures[name] = {"mean": round(statistics.mean(values), 1), "p10": low, "p90": high, "max": ordered[-1]}
        return figures


def machine() -> dict[str, Any]:
    """What the job runs on."""
    import numpy
    import torch

    gpu = ""
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    shm = os.statvfs("/dev/shm")
    return {
        "gpu": gpu,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "cuda": torch.version.cuda,
        "sees_gpu": torch.cuda.is_available(),
        "shared_memory_gb": round(shm.f_bavail * shm.f_frsize / 1e9, 1),
        "commit": os.environ.get("FOREARM_COMMIT", ""),
        "date": time.strftime("%Y-%m-%d"),
    }


def workers_for(job: Job) -> int:
    """Processes that prepare batches: two cores stay free, and what is ahead has to fit into shared memory twice."""
    if job.arguments.workers is not None:
        return job.arguments.workers
    batch = job.arguments.batch_size * 2 * 448 * 224 * 3  # two frames as bytes
    fit = int(job.results["machine"]["shared_memory_gb"] * 1e9 / (2 * 3 * batch))
    return max(0, min(12, job.results["machine"]["cores"] - 2, fit))


def prepare(job: Job) -> None:
    """Build the datasets, all at once; recordings that were not brought along are simulated first."""
    recordings = job.work / "recordings"
    recordings.mkdir(exist_ok=True)
    missing = [name for name in RECORDINGS if not (recordings / name).exists()]
    for name in missing:
        making = forearm("record", "--out", recordings / name, *RECORDINGS[name], *COMMON)
        finish({f"recording {name}": making}, job.left())
    job.results["recordings"] = "simulated there" if missing else "brought along"
    building = {
        name: forearm("build", *(recordings / s for s in sources), "--preset", job.arguments.preset, *options,
                      "--out", job.work / name)
        for name, (sources, options) in DATASETS.items()
    }  # fmt: skip
    finish({f"building {name}": process for name, process in building.items()}, job.left() / 4)


def bench(job: Job) -> None:
    """Measure the models' own speed and memory."""
    options = [
        "--device",
        job.arguments.device,
        "--size",
        job.arguments.preset,
        "--budget",
        job.arguments.bench_seconds,
    ]
    sizes = ["--batch-sizes", *job.arguments.bench_sizes]
    command = [SCRIPTS / "gpu_bench.py", job.work / "700", *options, *sizes]
    process = started(command, 4, stdout=subprocess.PIPE)
    watch = threading.Timer(min(BENCH, job.left()), process.terminate)
    watch.start()
    lines = process.communicate()[0].splitlines()
    watch.cancel()
    job.results["bench"] = [json.loads(line) for line in lines]
    if process.returncode:
        raise RuntimeError(f"ended with exit code {process.returncode}")


def feeding(job: Job, workers: int) -> None:
    """How many canvases a second are drawn on the device from what the processes bring there, without a model."""
    code = """if True:
        import sys, time
        from forearm.base.devices import device_named
        from forearm.training.loop import feed
        from forearm.transitions.loader import TrainingSteps
        from forearm.transitions.store import TransitionSet
        path, size, workers, device = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), device_named(sys.argv[4])
        data = TransitionSet(path)
        steps = TrainingSteps(data, data.rows("train"), size, 0, drawn=device.type == "cpu")
        batches = feed(steps, 0, workers, device)
        def draw(): float([each.draw() for each in next(batches)][-1].canvas[0, 0, 0, 0])
        for _ in range(2 * workers + 2): draw()
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < 4: draw(); count += size
        print(count / (time.perf_counter() - begin))
    """
    command = ["-c", code, job.work / "700", job.arguments.batch_size, workers, job.arguments.device]
    process = started(command, 1, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=60)
    job.results["feeding"] = {"workers": workers, "canvases_per_s": round(float(output))}


def train(job: Job, name: str, seconds: float, workers: int, watch: GpuWatch) -> None:
    """Train a run for so many seconds; keep its speed, and what the GPU did between its first and last steps."""
    family, data = RUNS[name]
    options = ["--minutes", f"{seconds / 60:.3f}", "--batch-size", job.arguments.batch_size, "--workers", workers]
    options += ["--learning-rate", job.arguments.learning_rate, "--evaluate-every", job.arguments.evaluate_every]
    options += ["--warmup", job.arguments.warmup, "--ema", job.arguments.ema, "--device", job.arguments.device]
    model = SETTINGS.get(family, ())
    run, begin = job.work / "runs" / name, time.time()
    process = forearm("train", family, "--data", job.work / data, "--out", run, *options, *model, threads=4)
    try:
        finish({"training": process}, min(seconds + 2 * STARTUP, max(10.0, job.left())))
    finally:
        job.results["runs"][name] = training_figures(run, begin, watch) | {
            "family": family, "data": data, "options": " ".join(map(str, (*options, *model)))
        }  # fmt: skip


def training_figures(run: Path, begin: float, watch: GpuWatch) -> dict[str, Any]:
    """Steps, seconds and speed of a training by its log, and the GPU's figures while it went on."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    steps = [entry for entry in log if "samples_per_s" in entry]
    speeds, fed = ([entry[name] for entry in steps] for name in ("samples_per_s", "feeding_share"))
    validated = [entry for entry in log if "best" in entry]
    end = time.time()
    last = validated[-1]
    first = end - last["seconds"]  # the clock of a training begins with its first validation
    return {
        "steps": last["step"],
        "seconds": last["seconds"],
        "wall_seconds": round(end - begin, 1),
        "samples_per_s": round(statistics.median(speeds), 1) if speeds else None,
        "feeding_share": round(statistics.median(fed), 4) if fed else None,
        "validations": validated,
        "gpu": watch.between(max(begin, first) + 5, end - 3),
    }


def evaluations(job: Job, *names: str) -> dict[str, subprocess.Popen]:
    """Begin to evaluate runs on all test sets, each in a process of its own."""
    processes = {}
    for name in names:
        for test in TESTS:
            data = () if test == "val" else ("--data", job.work / test)
            where = ("--device", job.arguments.device, "--samples", 6, "--rollouts", 0)
            process = forearm("evaluate", job.work / "runs" / name, *data, *where, threads=1)
            processes[f"{name} on {test}"] = process
    return processes


def evaluated(job: Job, processes: dict[str, subprocess.Popen], *names: str) -> None:
    """Wait for evaluations, and keep their figures."""
    try:
        finish(processes, min(2 * EVALUATION, max(15.0, job.left() - PATIENCE)))
    finally:
        for name in names:
            collect(job, name)


def collect(job: Job, name: str) -> None:
    """Put the figures of a run's evaluations among the results, and its pictures beside them."""
    run, evaluations = job.work / "runs" / name, {}
    for test in TESTS:
        folder = run / ("evaluation" if test == "val" else f"evaluation-{test}")
        if not (folder / "metrics.json").exists():
            continue
        figures = json.loads((folder / "metrics.json").read_text())
        keep = {key: value for key, value in figures.items() if isinstance(value, (int, float, str)) or value is None}
        baselines = {title: baseline["metrics"] for title, baseline in figures["baselines"].items()}
        for key in ("intervals", "latency", "actions_seen", "warnings", "training"):
            keep[key] = figures.get(key)
        evaluations[test] = keep | {"baselines": baselines}
    job.results["runs"].setdefault(name, {})["evaluations"] = evaluations
    page = run / "evaluation-new-scenes" / "report.html"
    if name == CHIEF and page.exists() and page.stat().st_size < MOST_BYTES:
        shutil.copy(page, job.out / f"report-{name}.html")
    grids = sorted((run / "evaluation-new-scenes" / "grids").glob("*.png"))
    if grids and grids[0].stat().st_size < MOST_BYTES:
        shutil.copy(grids[0], job.out / f"{name}.png")


def compare(job: Job) -> None:
    """One page for the families on the same data."""
    runs = [job.work / "runs" / name for name in RUNS if name.endswith("-700")]
    page = job.work / "compare.html"
    process = forearm("compare", *runs, "--data", job.work / "new-scenes", "--out", page)
    finish({"comparing": process}, max(10.0, min(40.0, job.left())))
    if page.stat().st_size < MOST_BYTES:
        shutil.copy(page, job.out / "compare-700.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--work", type=Path, required=True, help="folder for recordings, datasets and runs")
    parser.add_argument("--seconds", type=float, default=525, help="in which the whole job has to end")
    parser.add_argument("--train-seconds", type=float, default=100, help="of each training; the last gets what is left")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="so101", choices=["so101", "tiny"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--evaluate-every", type=int, default=300)
    parser.add_argument("--workers", type=int, help="processes that prepare batches; by default as many as fit")
    parser.add_argument("--bench-sizes", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--bench-seconds", type=float, default=0.7, help="for each figure")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.work.mkdir(parents=True, exist_ok=True)
    job, watch = Job(arguments), GpuWatch()
    with job.phase("machine", needed=True):
        job.results["machine"] = machine()
        print(json.dumps(job.results["machine"]))
    with job.phase("data", needed=True):
        prepare(job)
    with job.phase("bench"):
        bench(job)
    workers = workers_for(job)
    with job.phase("feeding"):
        feeding(job, workers)
    for name in ("warp-700", "mae-700"):
        with job.phase(f"train {name}"):
            train(job, name, arguments.train_seconds, workers, watch)
    beside = evaluations(job, "warp-700", "mae-700")
    rest = min(arguments.train_seconds, job.left() - STARTUP - EVALUATION)
    if more := rest >= min(LEAST, arguments.train_seconds):
        with job.phase("train warp-1500"):
            cores = job.results["machine"]["cores"] - len(beside) - 2
            train(job, "warp-1500", rest, max(min(workers, 1), min(workers, cores)), watch)
    with job.phase("evaluate 700"):
        evaluated(job, beside, "warp-700", "mae-700")
    if more:
        with job.phase("evaluate 1500"):
            evaluated(job, evaluations(job, "warp-1500"), "warp-1500")
    with job.phase("compare 700"):
        compare(job)
    print(f"== done, {job.left():.0f} s left")
    for phase, facts in job.results["phases"].items():
        print(f"{facts['seconds']:7.1f} s  {phase}: {facts['outcome']}")
    for name, run in job.results["runs"].items():
        chief = ("val_mse", "ssim", "psnr")
        told = {t: {key: figures.get(key) for key in chief} for t, figures in run.get("evaluations", {}).items()}
        print(name, json.dumps({key: run.get(key) for key in ("steps", "samples_per_s")} | told))


if __name__ == "__main__":
    main()
