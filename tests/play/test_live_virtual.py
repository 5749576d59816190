"""A session with the virtual arm: what its page is told where something breaks, and how it goes on."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import cycle

import pytest
from play.arms import simulated_layout

from forearm.arms import driver
from forearm.arms.robot import RobotArm
from forearm.arms.settings import RobotSettings
from forearm.canvas import MOVE_MINUS, MOVE_PLUS
from forearm.evaluation.baselines import Persistence
from forearm.play.live_stage import ArmSource, LiveStage, StopSwitch
from forearm.play.trials import TrialFolder

testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra `play`", exc_type=ImportError)

if find_spec("mujoco") is None or find_spec("scservo_sdk") is None:
    pytest.skip("needs the virtual arm", allow_module_level=True)

from support.sdk_robot import SdkBus, bench  # noqa: E402

from forearm.play.access import Access  # noqa: E402
from forearm.play.live_app import LiveApp, make_live_app  # noqa: E402

FAULTS = {
    "silent elbow_flex": "There is no status packet",
    "garbled elbow_flex": "Incorrect status packet",
    "unplug": "Input/output error",
    "blocked shoulder_pan": "see whether something is in its way",
}


def test_where_something_breaks_the_arm_holds_and_it_goes_on_once_that_is_mended(stage, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(driver, "TINY_SECONDS", 0.2)
    with bench(tmp_path / "arm") as stand:
        monkeypatch.setattr(driver, "time", stand.clock)
        robot, switch = stand.driver(size=(16, 16)), StopSwitch()
        settings = RobotSettings(yes=True, max_step=30)
        arm = RobotArm(robot, simulated_layout(), duration=0.3, settings=settings, keyboard=switch)
        source, bar = ArmSource(arm, "virtual arm"), cycle((MOVE_PLUS, MOVE_MINUS))
        folder = TrialFolder(tmp_path / "trials", arm.spec(source.fps), {})
        staged = LiveStage(
            replace(stage, layout=arm.layout, predictor=Persistence(), sources={"robot": source}),
            *(source, folder, switch),
        )
        with folder.recording(), arm.connected(), ThreadPoolExecutor(1) as worker:
            live = LiveApp(staged, worker.submit(staged.session).result(), worker)
            page = testclient.TestClient(make_live_app(live, Access.of("127.0.0.1")), base_url="http://127.0.0.1:8000")

            def step():
                number = page.get("/api/path").json()["now"]["number"]
                return page.post("/api/path/step", json={"number": number, "which": next(bar)})

            page.post("/api/arm/take", json={})
            assert step().status_code == 200
            for kept, (fault, told) in enumerate(FAULTS.items(), start=1):
                stand.tell(fault)
                robot.bus.patience = 100 if "silent" in fault else SdkBus.patience
                refused = step()
                assert refused.status_code == 400
                assert told in refused.json()["error"]
                status = page.get("/api/arm").json()
                assert told in status["trouble"]
                assert "\n" not in status["trouble"]
                assert stand.robot.arm.torque.all()  # it holds
                assert len(folder.trials) == kept
                stand.tell("mend")
                robot.bus.patience = SdkBus.patience
                if not status["seen"]:
                    assert "press Look again once that is mended" in step().json()["error"]
                assert page.post("/api/arm/look", json={}).status_code == 200
                assert page.get("/api/arm").json()["trouble"] == ""
                assert step().status_code == 200
            stand.tell("hot gripper 75")
            assert "75 °C hot" in step().json()["error"]
            stand.tell("mend")
            assert "gripper went limp" in step().json()["error"]  # it is not stiff again by itself
