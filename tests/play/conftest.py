"""A run of the smallest flagship, the data it was trained on, and the stage that they make; only to be read."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from play.arms import TinyArm
from support.tiny import make_layout, write_data
from support.waiting import PATIENCE

from forearm.canvas import ActionDimension
from forearm.models import family_settings
from forearm.play.control import Control
from forearm.play.live_stage import ArmSource, LiveStage, StopSwitch
from forearm.play.stage import open_stage
from forearm.play.trials import TrialFolder
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Only this machine has a name, so that whatever the page wanted from elsewhere would fail.
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@pytest.fixture(scope="session")
def small():
    """Settings of the smallest flagship."""
    return family_settings("warp", "tiny", {"width": 8, "levels": 1, "layers": 2})


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The tiny dataset: 8 episodes of 6 transitions that follow one another, 2 of the episodes validating."""
    return write_data(tmp_path_factory.mktemp("play") / "data")


@pytest.fixture(scope="session")
def run(data, small):
    """A run of family warp, after a few steps."""
    config = TrainConfig(steps=5, batch_size=8)
    run = start_run(data.path.parent / "run", "warp", small, config, data)
    train(run, data, device="cpu")
    return run


@pytest.fixture(scope="session")
def stage(run):
    """What ``forearm play`` plays with."""
    return open_stage(run.path, device="cpu")


@pytest.fixture(scope="session")
def long_memory(tmp_path_factory):
    """The tiny dataset with three frames a canvas and two joints to move."""
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    return write_data(tmp_path_factory.mktemp("play") / "data", make_layout(history=3, actions=dimensions))


@pytest.fixture(scope="module")  # two drivers cannot run in a process: other packages start theirs
def browser():
    """A browser that the tests of a file share; pages and cookies are each test's own."""
    if BROWSER is None:
        pytest.skip("needs Chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", ALONE],
            timeout=1000 * PATIENCE,
        )
        yield browser
        browser.close()


@pytest.fixture
def arm():
    """A tiny arm at rest."""
    return TinyArm()


@pytest.fixture
def live(stage, arm, tmp_path):
    """A session with the tiny arm, as ``forearm live`` serves it."""
    from forearm.play.live_app import LiveApp

    arm.layout = stage.layout
    source = ArmSource(arm, "tiny arm")
    with TrialFolder(tmp_path / "trials", arm.spec(30), {}).recording() as folder:
        staged = LiveStage(replace(stage, sources={"robot": source}), source, folder, StopSwitch())
        with ThreadPoolExecutor(1) as worker:
            app = LiveApp(staged, worker.submit(staged.session).result(), worker)
            app.control = Control(lapse=PATIENCE)  # a busy browser may be silent for long
            yield app
