"""Work shared between processes, which leave Ctrl-C to their parent and end when it ends, or between threads."""

import contextlib
import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TypeVar

from forearm.base.errors import ForearmError

Item = TypeVar("Item")
Result = TypeVar("Result")
LOOKS, APART = 5, 0.008
"""How often one looks whether other processes run, and how many seconds apart."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def others_run(load: Path = Path("/proc/loadavg")) -> bool:
    """Whether other processes use the cores now; False where the system does not say.

    Of a few looks the middle one counts, as most machines have something short to do now and then.
    """
    looks = []
    for _ in range(LOOKS):
        try:
            running = load.read_text(encoding="ascii").split()[3].partition("/")[0]
        except (OSError, IndexError):
            return False
        looks.append(int(running) - 1)  # this process runs, too
        time.sleep(APART)
    return statistics.median(looks) >= 1


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, prepare: Callable[[], object] | None = None
) -> Iterator[Result]:
    """What becomes of items, in their order, several at a time; twice as many as there are threads are in memory.

    Args:
        work: what is done with each item.
        items: taken in the calling thread.
        threads: how many.
        prepare: what each thread calls first.
    """
    under_way: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, initializer=prepare) as pool:
        try:
            for item in items:
                under_way.append(pool.submit(work, item))
                if len(under_way) == 2 * threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def serve_parent(*_: object) -> None:
    """Prepare a process that `multiprocessing` started, as its first act.

    Ctrl-C reaches all processes of a terminal; the parent ends this one in order. Where the parent is killed, this one
    ends at once: otherwise it would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_with_parent() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()


@contextlib.contextmanager
def working(processes: int, prepare: Callable[[], object] = cores) -> Iterator[ProcessPoolExecutor]:
    """Give several processes that work for this one. After an interrupt or an error, what is under way is finished and
    nothing more begun.

    Args:
        processes: how many.
        prepare: what each calls first, a function of a module; by default one that changes nothing.

    Raises:
        ForearmError: one was ended from outside.
    """
    spawn = multiprocessing.get_context("spawn")  # a fork would share the parent's OpenGL and threads
    pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin, initargs=(prepare,))
    try:
        with _held_back_interrupts():
            for _ in range(processes):
                pool.submit(cores)  # which starts a process
        yield pool
    except BrokenProcessPool as error:
        raise ForearmError(
            "a process was ended from outside, perhaps for lack of memory; run the same command again to go on, with "
            "fewer processes if it happens again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(prepare: Callable[[], object]) -> None:
    serve_parent()
    prepare()


@contextlib.contextmanager
def _held_back_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the end of a block; processes started in it never get it and leave it to their parent."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # else the first process starts it, and that lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
