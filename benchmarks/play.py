"""How smoothly one can play in a session. One command, a minute:

    python benchmarks/play.py RUN [--data DATA] [--simulator SCENE]

plays on a run as `forearm play` serves it and writes docs/benchmarks/play.md. A step is all that a press of a key asks
for: the step itself, the previews of the three actions from there with their uncertainty, and every picture. Ratios are
of times that were taken turn by turn in one process.
"""

import argparse
import http.client
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from measuring import ROOT, Spread, circumstances, median_seconds, ratio, write_table

from forearm import ForearmError
from forearm.canvas import CODES
from forearm.play.access import Access
from forearm.play.app import make_app
from forearm.play.server import address, listen, serve
from forearm.play.stage import Stage, open_stage
from forearm.play.state import state_of

TABLE = ROOT / "docs" / "benchmarks" / "play.md"
HOST = "127.0.0.1"
WARM_UP, STEPS = 3, 60
TARGET = 10.0


@contextmanager
def served(stage: Stage) -> Iterator[str]:
    """The address of the app, which a thread serves."""
    with listen(HOST, 0) as listening:
        app = make_app(stage, Access.of(HOST))
        threading.Thread(target=serve, args=(app, listening), daemon=True).start()
        yield address(listening, HOST)


def over_http(page: str) -> list[float]:
    """Seconds of each step for a client that sends the next as soon as it has read the answer."""
    call = http.client.HTTPConnection(urlsplit(page).netloc)

    def ask(method: str, path: str, body: dict[str, Any] | None = None, cookie: str = "") -> tuple[dict, str]:
        headers = {"Content-Type": "application/json", "Cookie": cookie}
        call.request(method, path, json.dumps(body) if body else None, headers)
        answer = call.getresponse()
        return json.load(answer), (answer.getheader("Set-Cookie") or "").split(";")[0]

    (state, cookie), seconds = ask("GET", "/api/path"), []
    for number in range(WARM_UP + STEPS):
        begin = time.perf_counter()
        state, _ = ask("POST", "/api/path/step", {"number": state["now"]["number"], "which": number % 3}, cookie)
        seconds.append(time.perf_counter() - begin)
    return seconds[WARM_UP:]


PRESSING = """async (steps) => {
    const pause = () => new Promise((done) => setTimeout(done));
    const seconds = [];
    for (let i = 0; i < steps; i++) {
        const before = state.path.length, begin = performance.now();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: ["s", "ArrowRight", "ArrowLeft"][i % 3], bubbles: true }));
        while (state.path.length === before || waiting) await pause();
        await new Promise(requestAnimationFrame);
        await pause(); // painted by now
        seconds.push((performance.now() - begin) / 1000);
    }
    return seconds;
}"""  # noqa: E501


def in_browser(page: str) -> list[float]:
    """Seconds from the press of a key until the page has painted the step; none where no browser is installed."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        opened = chromium.new_page()
        opened.goto(page)
        opened.wait_for_selector("body[data-ready]")
        seconds = opened.evaluate(PRESSING, WARM_UP + STEPS)
        chromium.close()
    return seconds[WARM_UP:]


def parts(stage: Stage) -> dict[str, float]:
    """Median seconds of what a step is made of, and processor seconds of a whole one."""
    session = stage.session()

    def previews() -> None:
        session.choose(session.dimension)  # forgets them
        session.previews()

    seconds = {
        "predicting the three previews": median_seconds(previews, 25),
        "drawing all pictures": median_seconds(lambda: json.dumps(state_of(session)), 25),
    }
    begin = time.process_time()
    for number in range(25):
        session.step(number % 3)
        json.dumps(state_of(session))
    return {**seconds, "processor": (time.process_time() - begin) / 25}


def one_batch(stage: Stage) -> tuple[Spread, Spread]:
    """How much faster previews are in one batch: than three predictions; than those and, chosen, a fourth."""
    session = stage.session()
    context, dimension = session.now.context.to(stage.device), torch.tensor([session.dimension])
    values = torch.from_numpy(np.stack([preview.action.values for preview in session.previews()[:3]]))
    predict = torch.inference_mode()(stage.predictor.predict)

    def together() -> None:
        predict(context.repeated(3).with_action(values, dimension.repeat(3)))

    def alone(times: int) -> Callable[[], None]:
        return lambda: [predict(context.with_action(values[[i % 3]], dimension)) for i in range(times)] and None

    return ratio(alone(len(CODES)), together, 25), ratio(alone(len(CODES) + 1), together, 25)


def table(stage: Stage, beside: Stage | None) -> str:
    """The page."""

    def rate(seconds: list[float]) -> str:
        return f"{len(seconds) / sum(seconds):.1f} | {1e3 * float(np.median(seconds)):.0f} | {1e3 * max(seconds):.0f}"

    load = os.getloadavg()[0]
    rows, rates = [], []
    for what, played in (("", stage), (", simulator beside", beside)):
        if played is None:
            continue
        with served(played) as page:
            for how, seconds in (("over HTTP", over_http(page)), ("key to painted page, Chromium", in_browser(page))):
                if seconds:
                    rows.append(f"| {how}{what} | {rate(seconds)} |")
                    rates.append(len(seconds) / sum(seconds))
    spent = parts(stage)
    three, four = one_batch(stage)
    verdict = "reached" if rates[0] >= TARGET else "missed"
    cameras = " + ".join(f"{camera.height}×{camera.width}" for camera in stage.layout.cameras)
    return "\n".join(
        [
            "# Playing",
            "",
            f"{circumstances()}. Made by `python benchmarks/play.py` on a run of family {stage.family}, cameras "
            f"{cameras}. When it began, {load:.1f} other processes were running on average.",
            "",
            f"A step with the three previews that follow it, {STEPS} in a row:",
            "",
            "| how | steps a second | median, ms | longest, ms |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            f"Target: ≥ {TARGET:g} steps a second, the three previews included, on two cores: {verdict} (first row).",
            "",
            f"A step takes {1e3 * spent.pop('processor'):.0f} ms of processor time. Its parts, median times: "
            + ", ".join(f"{what} {1e3 * seconds:.0f} ms" for what, seconds in spent.items())
            + ".",
            "",
            "| what | faster by |",
            "|---|---:|",
            f"| three previews in one batch, not one after the other | {_times(three)} |",
            f"| the same and the preview taken as the step, not predicted once more | {_times(four)} |",
            "",
        ]
    )


def _times(measured: Spread) -> str:
    return "{:.1f}× ({:.1f} to {:.1f})".format(*measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, help="whose moments to begin from; the run's own by default")
    parser.add_argument("--simulator", type=int, help="measure with this scene of the simulator beside, too")
    arguments = parser.parse_args()
    try:
        stage = open_stage(arguments.run, data=arguments.data, device="cpu")
        beside = None
        if arguments.simulator is not None:
            beside = open_stage(arguments.run, data=arguments.data, simulator=arguments.simulator, device="cpu")
        page = table(stage, beside)
    except ForearmError as error:
        sys.exit(str(error))
    write_table(TABLE, page)


if __name__ == "__main__":
    main()
