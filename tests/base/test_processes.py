"""Worker processes end when their parent is killed, however busy they are or wait; who else uses the cores."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import PATIENCE, wait_until

from forearm.base.processes import in_threads, others_run

PARENT = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
from forearm.base.processes import serve_parent

def work(seconds):
    import os
    os.write(1, b"%d\\n" % os.getpid())  # in one piece, as two processes write
    time.sleep(seconds)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=context, initializer=serve_parent) as pool:
        list(pool.map(work, [0.2, 600]))  # one waits for more work, one is busy
        time.sleep(600)
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, method: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), method], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    workers = {int(parent.stdout.readline()) for _ in range(2)}
    parent.kill()
    parent.wait(PATIENCE)
    parent.stdout.close()
    try:
        wait_until(lambda: not any(map(is_alive, workers)))
    finally:
        for worker in filter(is_alive, workers):
            os.kill(worker, signal.SIGKILL)


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_others_run_where_more_than_this_process_does(tmp_path: Path) -> None:
    load = tmp_path / "loadavg"
    for running, expected in ((1, False), (2, True), (9, True)):
        load.write_text(f"0.90 2.31 2.23 {running}/345 2051\n")
        assert others_run(load) is expected
    assert not others_run(tmp_path / "absent")  # as on macOS
    load.write_text("0.90\n")
    assert not others_run(load)


def test_threads_keep_the_order_and_take_few_items_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    for done, result in enumerate(in_threads(lambda number: number**2, items(), 3)):
        assert result == done**2
        assert len(taken) <= done + 6
    assert done == 39


def test_threads_stop_at_the_first_failure() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return 1 // (number - 5)

    with pytest.raises(ZeroDivisionError):
        list(in_threads(work, range(1000), 2))
    assert len(begun) < 20
