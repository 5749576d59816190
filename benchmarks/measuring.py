"""What the benchmarks share: timing, peak memory, a process for each measurement, and the name of the machine."""

import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Spread = tuple[float, float, float]
"""Median, least and greatest."""


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def cpu_seconds(work: Callable[[], object]) -> float:
    """The processor's time of one call, which does not depend on what else a shared machine does."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call after one warm-up."""
    work()
    return statistics.median(seconds(work) for _ in range(repeats))


def spread(values: list[float]) -> Spread:
    return statistics.median(values), min(values), max(values)


def ratio(slow: Callable[[], object], fast: Callable[[], object], repeats: int) -> Spread:
    """How often faster, in pairs, turn by turn."""
    slow(), fast()
    return spread([seconds(slow) / seconds(fast) for _ in range(repeats)])


def peak_mb() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def in_own_process(script: str, *arguments: str) -> dict:
    """The figures that a script prints as its last line, in JSON."""
    done = subprocess.run([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(f"  {figures}", file=sys.stderr)
    return figures


def circumstances() -> str:
    """When, with what and on what was measured, for the head of a table."""
    import torch

    from forearm.base.machine import commit, processor

    return (
        f"{datetime.date.today()}, commit {commit() or 'unknown'}, {processor()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, Python {platform.python_version()}, PyTorch {torch.__version__}"
    )


def command() -> str:
    """What was typed to start this benchmark, without the folders in which files lie."""
    words = [Path(word).name if os.sep in word else word for word in sys.argv]
    return " ".join(["python", f"benchmarks/{words[0]}", *words[1:]])


def insert(document: Path, name: str, lines: list[str]) -> None:
    """Put generated lines into a document, between ``<!-- NAME: … -->`` and ``<!-- end of NAME -->``."""
    text = document.read_text(encoding="utf-8")
    begin = text.index("-->", text.index(f"<!-- {name}:")) + len("-->")
    end = text.index(f"<!-- end of {name} -->", begin)
    document.write_text("\n".join([text[:begin], "", *lines, "", text[end:]]), encoding="utf-8")
    print(document)


def write_table(path: Path, text: str) -> None:
    """Write a page of the docs, and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(path)
