"""What many visitors at once and a long path do to `forearm play`. One command, some minutes:

    python benchmarks/crowd.py RUN [--visitors 30] [--steps 2000]

serves a run as `forearm play` does and writes docs/benchmarks/crowd.md. All visitors come at the same moment and step
together; whoever finds no place has to be told so, and nobody who has one may lose a step. Then one of them goes on
alone, beginning anew whenever a path is as long as it may become, and the memory of the process is read there. Nothing
here depends on how busy the machine is.
"""

import argparse
import http.client
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from measuring import ROOT, circumstances, write_table
from play import served

from forearm import ForearmError
from forearm.play.stage import open_stage
from forearm.play.visitors import MOST

TABLE = ROOT / "docs" / "benchmarks" / "crowd.md"
STEPS_EACH = 20
FLAT = 1.03
"""Memory that grows by less, from the first reading to the last, is flat."""


@dataclass
class Visitor:
    """A browser's connection, and what became of its visit."""

    line: http.client.HTTPConnection
    cookie: str = ""
    status: int = 0
    taken: int = 0
    lost: int = 0
    _number: int = 0
    _length: int = 0

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer's JSON; its status is noted, and the cookie kept."""
        headers = {"Content-Type": "application/json", "Cookie": self.cookie}
        self.line.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.line.getresponse()
        self.status = answer.status
        self.cookie = (answer.getheader("Set-Cookie") or self.cookie).split(";")[0]
        return json.loads(answer.read())

    def come(self, together: threading.Barrier) -> None:
        """Come when all do, and take steps if there is a place."""
        together.wait()
        self._stand(self.ask("GET", "/api/path"))
        if self.status == 200:
            for _ in range(STEPS_EACH):
                self.step()

    def begin(self, source: str) -> None:
        """Begin anew somewhere."""
        self._stand(self.ask("POST", "/api/path/begin", {"source": source}))

    def step(self) -> None:
        """Take a step; it is lost if the path that the answer shows is not longer by one."""
        length = self._length
        self._stand(self.ask("POST", "/api/path/step", {"number": self._number, "which": self.taken % 3}))
        self.lost += self._length != length + 1
        self.taken += 1

    def _stand(self, state: dict[str, Any]) -> None:
        if self.status == 200:
            self._number, self._length = state["now"]["number"], len(state["path"])


def main() -> int:
    """Measure, write the table, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    try:
        stage = open_stage(arguments.run, device="cpu")
    except ForearmError as error:
        sys.exit(f"play: {error}")
    with served(stage) as page:
        host = urlsplit(page).netloc
        visitors = [Visitor(http.client.HTTPConnection(host, timeout=600)) for _ in range(arguments.visitors)]
        together = threading.Barrier(len(visitors))
        with ThreadPoolExecutor(len(visitors)) as pool:
            list(pool.map(lambda visitor: visitor.come(together), visitors))
        placed = [visitor for visitor in visitors if visitor.status == 200]
        told = [visitor for visitor in visitors if visitor.status == 503]
        lost, alone = sum(visitor.lost for visitor in placed), placed[0]
        alone.lost, readings = 0, []
        for step in range(arguments.steps):
            if step % stage.longest == 0:
                alone.begin(next(iter(stage.sources)))
            alone.step()
            if (step + 1) % stage.longest == 0:
                readings.append((step + 1, psutil.Process().memory_info().rss / 1e6))
    grown = readings[-1][1] / readings[0][1]
    fine = len(placed) == min(MOST, len(visitors)) and len(placed) + len(told) == len(visitors)
    fine = fine and lost == alone.lost == 0 and grown < FLAT
    write_table(
        TABLE,
        "\n".join(
            [
                "# Many visitors",
                "",
                f"{circumstances()}. Made by `python benchmarks/crowd.py` on a run of family {stage.family}.",
                "",
                f"{len(visitors)} visitors came to `forearm play` at the same moment: {len(placed)} found a place and "
                f"took {STEPS_EACH} steps each, {len(told)} were told that all places are taken. Steps lost: {lost}.",
                "",
                f"Then one of them took {arguments.steps:,} steps, beginning anew after every {stage.longest}. Steps "
                f"lost: {alone.lost}. Memory of the process, which holds {len(placed)} paths:",
                "",
                "| after steps | MB |",
                "|---:|---:|",
                *(f"| {step:,} | {held:.0f} |" for step, held in readings),
                "",
                f"From the first row to the last it changed by {100 * (grown - 1):+.1f} %: "
                f"{'flat' if grown < FLAT else 'not flat'}.",
                "",
            ]
        ),
    )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
