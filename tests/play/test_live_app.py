"""Who may move the arm, who may stop it, and what the page is told."""

import pytest

from forearm.base.errors import ForearmError
from forearm.canvas import MOVE_PLUS
from forearm.play.control import LAPSE, Control

testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra `play`", exc_type=ImportError)

from forearm.play.access import Access  # noqa: E402
from forearm.play.live_app import make_live_app  # noqa: E402

BASE = "http://127.0.0.1:8000"


@pytest.fixture
def visitors(live):
    app = make_live_app(live, Access.of("127.0.0.1"))
    return [testclient.TestClient(app, base_url=BASE) for _ in range(2)]


def step(visitor, which=MOVE_PLUS, number=None):
    number = visitor.get("/api/path").json()["now"]["number"] if number is None else number
    return visitor.post("/api/path/step", json={"number": number, "which": which})


def test_one_visitor_at_a_time_moves_the_arm_and_anybody_stops_it(visitors, arm, live):
    one, other = visitors
    for path, body in (
        ("path/step", {"number": live.session.now.number, "which": 1}),
        ("path/choose", {"dimension": 0}),
        ("path/begin", {"source": "robot", "number": 0}),
        ("arm/move", {"pose": {"pan": 3}}),
        *((f"arm/{deed}", {}) for deed in ("home", "hold", "relax", "look")),
    ):
        refused = one.post(f"/api/{path}", json=body)
        assert (refused.status_code, refused.json()["error"][:18]) == (400, "take control first")
    assert arm.said == []
    assert one.post("/api/arm/take", json={}).json()["control"] == "you"
    assert other.get("/api/arm").json()["control"] == "other"
    assert "somebody else controls the arm" in other.post("/api/arm/take", json={}).json()["error"]
    assert step(one).status_code == 200
    assert step(other).status_code == 400
    assert arm.said == ["moved"]
    other.post("/api/arm/stop", json={}).raise_for_status()
    told = other.get("/api/path").json()  # after the stop
    assert arm.said == ["moved", "hold"]
    assert other.get("/api/arm").json()["trouble"] == "stopped; the arm holds its position"
    assert len(told["path"]) == 1
    one.post("/api/arm/release", json={})
    assert other.post("/api/arm/take", json={}).json()["control"] == "you"


def test_what_was_asked_for_before_a_stop_is_not_begun_after_it(visitors, arm, live):
    one, _ = visitors
    one.post("/api/arm/take", json={})
    number = live.session.now.number
    on_worker = live.on_worker

    async def later(work):
        live.stop()  # while it waits for the arm's thread
        return await on_worker(work)

    live.on_worker = later
    assert "stopped; press again" in step(one, number=number).json()["error"]
    assert "moved" not in arm.said


def test_a_second_press_moves_nothing(visitors, arm):
    one, _ = visitors
    one.post("/api/arm/take", json={})
    number = one.get("/api/path").json()["now"]["number"]
    first, second = step(one, number=number).json(), step(one, number=number).json()
    assert arm.said == ["moved"]
    assert first["now"] == second["now"]


def test_the_page_is_told_what_was_predicted_what_came_of_it_and_what_all_trials_say(visitors, arm, live):
    one, _ = visitors
    one.post("/api/arm/take", json={})
    before = one.get("/api/path").json()
    after = step(one).json()
    (trial,) = after["path"]
    assert trial["moment"]["pictures"] == before["previews"][MOVE_PLUS]["pictures"]
    assert trial["moment"]["truth"] == after["now"]["pictures"] == after["now"]["truth"]
    assert trial["moment"]["truth"] != trial["moment"]["pictures"]
    assert trial["moment"]["error"] is not None
    assert trial["expected_error"] == before["previews"][MOVE_PLUS]["expected_error"]
    assert after["summary"]["error"] == trial["step_error"]
    assert after["health"] == "lift 34 °C, 12.0 V"
    assert after["summary"]["interval"] == [None, None]  # of one trial
    again = step(one, 0).json()
    assert [node["moment"] is None for node in again["path"]] == [True, False]  # the first one it knows
    assert all(again["summary"]["interval"])
    since = one.get(f"/api/path?since={again['path'][0]['number']}").json()
    assert [node["moment"] is None for node in since["path"]] == [True, False]
    assert [node["moment"] is None for node in one.get("/api/path").json()["path"]] == [False, False]
    assert one.get("/api/arm").json()["version"] == again["version"] != after["version"]


def test_where_the_arm_fails_the_page_says_so(visitors, arm):
    one, _ = visitors
    one.post("/api/arm/take", json={})
    arm.fails = ForearmError("the robot could not be told to move: no status packet; see to its power and its cables")
    assert "no status packet" in step(one).json()["error"]
    status = one.get("/api/arm").json()
    assert "no status packet" in status["trouble"]
    assert (status["seen"], status["moving"], arm.said[-1]) == (True, "", "hold")
    arm.fails = KeyboardInterrupt()
    assert step(one).json()["error"] == "stopped; the arm holds its position"


@pytest.mark.parametrize("body", [{"pose": {"pan": 99}}, {"pose": {"roll": 1}}, {"pose": "up"}, {}])
def test_moves_that_cannot_be_are_refused_in_a_line(visitors, arm, body):
    one, _ = visitors
    one.post("/api/arm/take", json={})
    answer = one.post("/api/arm/move", json=body)
    assert answer.status_code in (400, 422)
    assert "\n" not in answer.json()["error"]
    assert arm.joints.tolist() == [0, 0]


def test_other_sites_may_not_even_stop_it(visitors, arm):
    for path in ("arm/stop", "arm/take", "path/step"):
        answer = visitors[0].post(f"/api/{path}", json={}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
    assert arm.said == []


def test_control_lapses_where_a_page_is_closed():
    now = 0.0
    control = Control(clock=lambda: now)
    control.take("a")
    now = LAPSE - 1
    assert (control.of("a"), control.of("b")) == ("you", "other")
    now += LAPSE
    assert control.of("b") == "other"
    now += 1
    assert control.of("b") == "free"
    control.take("b")
    assert control.of("a") == "other"
    control.release("a")  # who does not hold it
    assert control.of("b") == "you"
