"""What the page asks the app, and what nobody may ask: other sites, other files, other people's sessions."""

import base64
import dataclasses
import io
import json
import re
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import CODE_NAMES, MOVE_PLUS
from forearm.evaluation.baselines import Persistence
from forearm.play.state import at_bounds
from forearm.play.visitors import KEPT, KEPT_START, MOST, Full, Visitors
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.training.run import Run

testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra `play`", exc_type=ImportError)

from forearm.play import clip  # noqa: E402 (needs the extra)
from forearm.play.access import OPEN, Access  # noqa: E402
from forearm.play.app import make_app  # noqa: E402
from forearm.play.web import COOKIE  # noqa: E402

BASE = "http://127.0.0.1:8000"
LOCAL = Access.of("127.0.0.1")


@pytest.fixture
def app(stage):
    return make_app(stage, LOCAL)


@pytest.fixture
def visitor(app):
    return testclient.TestClient(app, base_url=BASE)


def post(visitor, what, **body):
    answer = visitor.post(f"/api/path/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def step(visitor, which):
    return post(visitor, "step", number=visitor.get("/api/path").json()["now"]["number"], which=which)


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_the_page_needs_nothing_from_elsewhere(visitor):
    for path in ("/", "/app.css", "/page.js", "/own.js"):
        answer = visitor.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        addresses = re.findall(r"""(?:src|href)="([^"]+)"|url\(([^)]+)\)|["'`](https?:[^"'`]+)""", answer.text)
        for found in addresses:
            (address,) = filter(None, found)
            assert address.startswith(("data:", "/app.", "/page.", "/own.", "/api/path.")), address


def test_what_is_shown_is_exact(visitor, stage):
    told = visitor.get("/api/path").json()
    start = stage.sources["recording"].begin(told["start"]["number"])
    frame = np.zeros_like(start.truth.observe().picture)
    for box, uri in zip(stage.layout.camera_boxes(), told["now"]["pictures"], strict=True):
        frame[box] = pixels(uri)
    assert np.array_equal(frame, start.truth.observe().picture)
    assert told["now"]["joints"] == start.truth.observe().joints.tolist()
    assert [preview["code"] for preview in told["previews"]] == [0, 1, 2]


def test_a_step_shows_what_was_previewed(visitor):
    before = visitor.get("/api/path").json()
    after = step(visitor, MOVE_PLUS)
    preview = before["previews"][MOVE_PLUS]
    assert after["now"]["pictures"] == preview["pictures"]
    assert after["now"]["joints"] == preview["joints"]
    assert after["path"][-1]["expected_error"] == preview["expected_error"]
    assert [place["number"] for place in post(visitor, "undo")["path"]] == [before["now"]["number"]]


def test_the_stage_says_what_is_a_guess(stage):
    told = testclient.TestClient(
        make_app(dataclasses.replace(stage, actions_seen={0: 0, 1: 5, 2: 5}, practised=(0,)), OPEN)
    ).get("/api/stage")
    assert told.json()["guesses"] == [0]
    assert told.json()["practised"] == [0]
    assert told.json()["unseen"] == []


def test_a_joint_that_training_never_moved_in_a_direction_is_a_guess(long_memory, tmp_path, small):
    run = start_run(tmp_path / "run", "warp", small, TrainConfig(steps=1), long_memory)
    assert run.unseen_moves() == [(1, 1), (1, 2)]  # only pan, the first, moves
    config = run.config()
    config["data"]["directions_seen"]["pan"] = [4, 0]
    run.config_file.write_text(json.dumps(config))
    assert Run.open(run.path).unseen_moves() == [(0, 2), (1, 1), (1, 2)]
    del config["data"]["directions_seen"]
    run.config_file.write_text(json.dumps(config))
    assert Run.open(run.path).unseen_moves() == []  # a run that is older than its note


def test_visitors_have_their_own_dreams(app):
    one, other = (testclient.TestClient(app, base_url=BASE) for _ in range(2))
    step(one, 1)
    step(one, 1)
    assert len(other.get("/api/path").json()["path"]) == 1
    assert len(one.get("/api/path").json()["path"]) == 3
    number = one.get("/api/path").json()["path"][0]["number"]
    refused = other.post("/api/path/back", json={"number": number})
    assert refused.status_code == 400
    assert "no state" in refused.json()["error"]


def test_the_cookie_is_for_the_page_alone(visitor):
    cookie = visitor.get("/api/path").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "set-cookie" not in visitor.get("/api/path").headers
    forged = visitor.get("/api/path", headers={"cookie": f"{COOKIE}=x"})
    assert COOKIE in forged.headers["set-cookie"]


def test_a_second_click_on_a_moment_that_is_past_changes_nothing(visitor):
    number = visitor.get("/api/path").json()["now"]["number"]
    first = post(visitor, "step", number=number, which=1)
    second = post(visitor, "step", number=number, which=2)
    assert second["path"] == first["path"]


def test_begin_anywhere_and_back(visitor, stage):
    count = stage.sources["recording"].count
    assert post(visitor, "begin", source="recording", number=5)["start"]["number"] == 5
    step(visitor, 1)
    assert len(post(visitor, "begin", source="recording", number=5)["path"]) == 1
    numbers = {post(visitor, "begin", source="recording", number=None)["start"]["number"] for _ in range(12)}
    assert len(numbers) > 1
    assert numbers <= set(range(count))


def test_the_path_to_take_home(visitor, stage):
    post(visitor, "begin", source="recording", number=0)
    codes = [1, 0, 2, 1]
    told = [visitor.get("/api/path").json(), *(step(visitor, code) for code in codes)]
    path = visitor.get("/api/path.json")
    assert 'filename="path.json"' in path.headers["content-disposition"]
    places = path.json()["path"]
    assert path.json()["start"]["number"] == 0
    assert places[0]["action"] is None
    assert [place["action"].split()[0] for place in places[1:]] == [CODE_NAMES[code] for code in codes]
    for place, shown in zip(places, told, strict=True):
        assert list(place["joints"].values()) == shown["now"]["joints"]
    assert places[1]["values"] == [1.0]

    for kind in ("mp4", "gif"):
        answer = visitor.get(f"/api/path.{kind}")
        with av.open(io.BytesIO(answer.content)) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(frames) == len(places)
        palette = np.array(stage.layout.palette)
        for frame, code in zip(frames[1:], codes, strict=True):  # left of the pictures, the action that led there
            colour = frame[frame.shape[0] // 2, 4].astype(int)
            assert np.abs(palette - colour).sum(axis=1).argmin() == code
        assert frames[0][:, :16].min() > 200  # nothing leads to the start


def test_films_show_the_truth_beside_what_is_imagined_by_name(visitor, stage, data, monkeypatch):
    drawn = []
    monkeypatch.setattr(clip, "labelled", lambda *args: drawn.append(args) or np.zeros((2, 2, 3), np.uint8))
    told = post(visitor, "begin", source="recording", number=0)
    for which in (told["recorded"], next(code for code in (0, 1) if code != data.codes[1])):  # then, what nobody did
        told = post(visitor, "step", number=told["now"]["number"], which=which)
    assert visitor.get("/api/path.gif").status_code == 200
    (start, first, second), words = [columns for columns, _ in drawn], [caption for _, caption in drawn]
    assert [[title for title, _ in columns] for columns in (start, first, second)] == [
        ["truth", "imagined"],
        ["truth", "imagined"],
        ["truth unknown", "imagined"],
    ]
    assert np.array_equal(start[0][1], start[1][1])
    assert np.array_equal(first[0][1], data.frames[data.columns.frames[0, -1]])
    assert second[0][1] is None
    assert words[1] == (f"step 1 of 2, path error {told['path'][1]['path_error']}", told["path"][1]["words"])
    assert words[2] == ("step 2 of 2", told["path"][2]["words"])


def test_a_joint_at_its_end_says_so(stage):
    lows, highs = stage.layout.lows, stage.layout.highs
    span = highs - lows
    assert set(at_bounds(stage.layout, lows + 0.005 * span)) == {-1}
    assert set(at_bounds(stage.layout, highs - 0.005 * span)) == {1}
    assert set(at_bounds(stage.layout, highs + span)) == {1}
    assert set(at_bounds(stage.layout, lows + 0.02 * span)) == set(at_bounds(stage.layout, highs - 0.02 * span)) == {0}


def test_figures_have_as_many_digits_as_their_unit_needs(visitor, stage):
    told = step(visitor, 1)
    for name, position in zip(told["now"]["readings"], told["now"]["joints"], strict=True):
        assert name == f"{position:.2f}°".replace("-", "−")
    change = told["previews"][2]["joints"][0] - told["now"]["joints"][0]
    assert told["previews"][2]["changes"][0] == f"{change:+.2f}°".replace("-", "−")
    assert told["reach"] == "±10.0°"
    assert re.fullmatch(r"\d+\.\d%", told["path"][1]["expected_error"])


def test_what_moments_showed_can_be_played_after_the_page_was_closed(visitor):
    seen = [visitor.get("/api/path").json()["now"]]
    for code in (1, 2, 0):
        seen.append(step(visitor, code)["now"])
    assert [node["moment"] for node in visitor.get("/api/path").json()["path"]] == seen


def test_a_path_of_no_steps_can_be_taken_home_too(visitor):
    post(visitor, "begin", source="recording", number=0)
    for kind in ("mp4", "gif"):
        with av.open(io.BytesIO(visitor.get(f"/api/path.{kind}").content)) as film:
            assert len(list(film.decode(video=0))) == 1


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("step", {"which": 7}),
        ("step", {"which": -1}),
        ("back", {"number": -1}),
        ("begin", {"source": "recording", "number": 10**9}),
        ("begin", {"source": "recording", "number": -1}),
        ("begin", {"source": "../../etc/passwd", "number": 0}),
        ("choose", {"dimension": 9}),
        ("choose", {"dimension": 0, "value": -3}),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(visitor, what, body):
    before = visitor.get("/api/path").json()
    answer = visitor.post(f"/api/path/{what}", json={"number": before["now"]["number"], **body})
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]
    assert visitor.get("/api/path").json() == before


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"which": "x"}', b'{"number": 1e400, "which": NaN}', b"\xff"])
def test_what_cannot_be_understood(visitor, body):
    answer = visitor.post("/api/path/step", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert json.loads(answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/config.json",
        "/best.safetensors",
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page/index.html",
        "/docs",
        "/openapi.json",
        "/api/path.json/../../../etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_file_can_be_read_through_it(visitor, path):
    assert visitor.get(path).status_code == 404


def test_a_path_comes_in_three_kinds(visitor):
    answer = visitor.get("/api/path.exe")
    assert answer.status_code == 400
    assert "json, mp4, gif" in answer.json()["error"]


def test_other_sites_are_kept_away(app):
    rebound = testclient.TestClient(app, base_url="http://evil.example:8000")
    for path in ("/", "/api/path", "/page.js"):
        assert rebound.get(path).status_code == 403
    visitor = testclient.TestClient(app, base_url=BASE)
    for origin in ("http://evil.example", "http://127.0.0.1:9000", "https://127.0.0.1:8000", "127.0.0.1:8000", "null"):
        assert visitor.post("/api/path/undo", json={}, headers={"Origin": origin}).status_code == 403
    assert visitor.post("/api/path/undo", json={}, headers={"Origin": BASE}).status_code == 200
    assert testclient.TestClient(app, base_url="http://localhost:8000").get("/").status_code == 200
    for host in ("", "127.0.0.1.evil.example", "[::1", "localhost@evil.example"):
        assert visitor.get("/", headers={"Host": host}).status_code == 403


def test_requests_from_pages_of_other_sites_make_no_path(stage):
    app = make_app(stage, LOCAL)
    visitor = testclient.TestClient(app, base_url=BASE)
    step(visitor, MOVE_PLUS)
    for site in ("cross-site", "same-site"):  # another port of this machine is the same site
        picture = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        frame = link | {"Sec-Fetch-Dest": "iframe"}
        for number in range(MOST + 1):
            foreign = testclient.TestClient(app, base_url=BASE)
            answer = foreign.get(f"/api/path?{number}", headers=picture)
            assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)
        for path in ("/", "/page.js", "/api/path.gif"):
            for headers in (picture, frame):
                assert visitor.get(path, headers=headers).status_code == 403
        assert visitor.get("/", headers=link).status_code == 200
        assert visitor.get("/api/path.gif", headers=link).status_code == 403
        assert visitor.post("/api/path/undo", json={}, headers=link).status_code == 403
    for site in ("same-origin", "none"):
        assert len(visitor.get("/api/path", headers={"Sec-Fetch-Site": site}).json()["path"]) == 2
    testclient.TestClient(app, base_url=BASE).get("/api/path").raise_for_status()  # there is a place left


def test_elsewhere_than_on_this_machine_a_token_is_needed(stage):
    access = Access.of("0.0.0.0")
    app = make_app(stage, access)
    stranger, invited = (testclient.TestClient(app, base_url="http://192.0.2.7:8000") for _ in range(2))
    for path in ("/", "/page.js", "/api/path", "/?token=", "/?token=guessed", "/api/stage?token=é"):
        answer = stranger.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)
        assert "open the whole address that was printed" in answer.text
    assert stranger.post("/api/path/undo", json={}).status_code == 403

    answer = invited.get(f"/?token={access.token}", follow_redirects=False)
    assert answer.headers["location"] == "/"  # the token does not stay in the address
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert invited.get("/").status_code == 200
    step(invited, MOVE_PLUS)
    assert stranger.get(f"/api/stage?token={access.token}").status_code == 200  # for scripts


def test_who_may_use_the_app():
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert Access.of(host).token is None
        assert host in Access.of(host).hosts
    for host in ("0.0.0.0", "::", "", "192.0.2.7", "robot.example"):
        assert Access.of(host).hosts is None
        assert len(Access.of(host).token) >= 22
    assert Access.of("0.0.0.0").token != Access.of("0.0.0.0").token
    assert Access.of("0.0.0.0", ["Robot.example"]).hosts == {"0.0.0.0", "robot.example"}


def test_a_proxy_is_allowed_by_name(stage):
    app = make_app(stage, Access.of("127.0.0.1", ["robot.example"]))
    proxied = testclient.TestClient(app, base_url="https://robot.example")
    assert proxied.get("/").status_code == 200
    assert proxied.post("/api/path/undo", json={}, headers={"Origin": "https://robot.example"}).status_code == 200
    refused = proxied.post("/api/path/undo", json={}, headers={"Origin": "http://robot.example"})
    assert refused.status_code == 403
    assert "X-Forwarded-Proto" in refused.text
    assert testclient.TestClient(app, base_url="https://evil.example").get("/").status_code == 403


def test_bodies_have_bounds(visitor):
    assert visitor.post("/api/path/undo", content=b" " * 10_000).status_code == 413
    assert visitor.post("/api/path/undo", content=iter([b" " * 100])).status_code == 413  # of a length not told


def test_models_that_fail_at_once_are_told_before_anybody_comes(stage):
    class Broken(Persistence):
        def predict(self, batch):
            return Prediction(super().predict(batch).frame * float("nan"))

    with pytest.raises(ForearmError, match="no number"):
        make_app(dataclasses.replace(stage, predictor=Broken()), LOCAL)


class Clock:
    """Paths of so many moments that are begun one after another, and a time that passes when it is told to."""

    def __init__(self, moments: int):
        self.moments, self.now, self.begun = moments, 0.0, []

    def begin(self):
        self.begun.append(SimpleNamespace(path=[None] * self.moments))
        return self.begun[-1]

    def visitors(self, **bounds):
        return Visitors(self.begin, clock=lambda: self.now, **bounds)


@pytest.mark.parametrize(("moments", "kept"), [(1, KEPT_START), (2, KEPT)])
def test_a_newcomer_takes_the_place_of_an_idle_visitor_alone(moments, kept):
    clock = Clock(moments)
    visitors = clock.visitors(most=3)
    paths = {name: visitors.path(name) for name in "abc"}
    with pytest.raises(Full, match="all 3 places are taken"):
        visitors.path("d")
    assert {name: visitors.path(name) for name in "bac"} == paths  # nobody lost anything
    clock.now = kept - 1
    visitors.path("b")
    with pytest.raises(Full):
        visitors.path("d")
    clock.now = kept
    visitors.path("d")  # instead of a, who asked for it longest ago
    assert visitors.path("b") is paths["b"]
    assert visitors.path("c") is paths["c"]
    with pytest.raises(Full):
        visitors.path("a")
    assert len(clock.begun) == 4


def test_paths_are_forgotten():
    clock = Clock(2)
    visitors = clock.visitors(idle=10)
    first = visitors.path("a")
    visitors.path("b")
    clock.now = 10.0
    assert visitors.path("a") is first
    clock.now = 11.0
    assert visitors.path("a") is first
    assert len(visitors) == 1


def test_the_17th_visitor_is_told_so_and_the_others_lose_nothing(stage):
    app = make_app(stage, LOCAL)
    visitors = [testclient.TestClient(app, base_url=BASE) for _ in range(MOST)]
    for visitor in visitors:
        step(visitor, MOVE_PLUS)
    late = testclient.TestClient(app, base_url=BASE)
    for answer in (late.get("/api/path"), late.post("/api/path/undo", json={}), late.get("/api/path.gif")):
        assert answer.status_code == 503
        assert answer.json()["error"] == "all 16 places are taken by others who are playing; try again in a few minutes"
        assert int(answer.headers["retry-after"]) > 0
        assert "set-cookie" not in answer.headers
    assert late.get("/").status_code == 200
    assert [len(visitor.get("/api/path").json()["path"]) for visitor in visitors] == [2] * MOST


def test_memory_has_a_bound(stage):
    session = stage.session()
    cameras = [dataclasses.replace(stage.layout.cameras[0], name=str(number)) for number in range(6000)]
    wide = dataclasses.replace(stage.layout, cameras=tuple(cameras))
    longest = dataclasses.replace(stage, layout=wide)
    assert session.longest * MOST * session.now.context.canvas.numel() * 4 <= 2.1e9
    assert longest.longest < stage.longest
