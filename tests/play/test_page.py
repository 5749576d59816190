"""The page in a real browser: what it shows is what the model says, and nothing goes wrong or elsewhere on the way."""

import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import urllib.parse
import urllib.request
from importlib.util import find_spec

import av
import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import end, error_of, files, forearm, start
from support.waiting import PATIENCE

from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY
from forearm.environment import rollout
from forearm.play.visitors import MOST

pytest.importorskip("uvicorn", reason="needs the extra `play`", exc_type=ImportError)
MOMENT = 3


@pytest.fixture(scope="module")
def address(run):
    """Where ``forearm play`` serves the run, as a user starts it."""
    process = start("play", run.path, "--port", 0, "--device", "cpu")
    page = process.stdout.readline().strip()
    yield page
    where = urllib.parse.urlsplit(page)
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(b"GET /api/path HTTP/1.1\r\nHost: ")  # nobody waits for the rest
        os.killpg(process.pid, signal.SIGINT)
        outcome = end(process)
    assert outcome.code == 130
    assert outcome.err == "forearm: stopped\n"


@pytest.fixture
def page(browser, address, request):
    """The page, opened by a new visitor; whatever goes wrong in it is an error here."""
    options = {"viewport": {"width": 1200, "height": 900}, **getattr(request, "param", {})}
    context = browser.new_context(**options)
    page, wrong, asked = context.new_page(), [], []
    page.set_default_timeout(1000 * PATIENCE)
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda asked: wrong.append(f"{asked.url} {asked.failure}"))
    page.on("response", lambda answer: wrong.append(f"{answer.url} {answer.status}") if answer.status >= 400 else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert not wrong
    assert all(url.startswith((address, "data:image/")) for url in asked)


def steps(page, count):
    """Wait until the path has so many steps."""
    page.wait_for_function("count => document.querySelectorAll('.thumb').length === count + 1", arg=count)


def shown_joints(page):
    """The joints' numbers as they stand on the page."""
    return [float(text.strip("°").replace("−", "-")) for text in page.locator(".joint .value").all_inner_texts()]


def begin(page, number):
    page.fill("#number", str(number))
    page.get_by_role("button", name="Begin").click()
    page.wait_for_function("number => state.start.number === number && state.path.length === 1", arg=number)


def test_ten_steps_two_undone_and_a_clip(page, run, data, tmp_path):
    assert page.get_by_label("row", exact=True).get_attribute("id") == "number"
    begin(page, MOMENT)
    ways = {
        MOVE_PLUS: [lambda: page.keyboard.press("ArrowRight"), lambda: page.get_by_text("MOVE+", exact=True).click()],
        MOVE_MINUS: [lambda: page.keyboard.press("ArrowLeft"), lambda: page.get_by_text("MOVE−", exact=True).click()],
        STAY: [lambda: page.keyboard.press("s"), lambda: page.get_by_text("STAY", exact=True).click()],
    }
    codes = [MOVE_PLUS, MOVE_PLUS, STAY, MOVE_MINUS, MOVE_PLUS, STAY, MOVE_MINUS, MOVE_MINUS, MOVE_PLUS, MOVE_MINUS]
    seen = [shown_joints(page)]
    for number, code in enumerate(codes, start=1):
        ways[code][number % 2]()
        steps(page, number)
        seen.append(shown_joints(page))
    page.keyboard.press("z")
    steps(page, 9)
    page.get_by_role("button", name="Undo").click()
    steps(page, 8)
    assert shown_joints(page) == seen[8]

    layout, model = run.layout(), run.load()
    values = torch.tensor([0.0, 1.0, -1.0])[torch.tensor(codes)][None, :, None]
    first = data.with_layout(layout, "a test").batch(np.array([MOMENT]))
    steps_on = rollout(model, first, values, torch.zeros(1, len(codes), dtype=torch.long))
    called = torch.cat([step.joints(layout) for step in steps_on]).numpy()
    np.testing.assert_allclose(seen[1:], called, atol=0.0051)  # two digits behind the point are shown
    np.testing.assert_allclose(page.evaluate("state.now.joints"), called[7], atol=1e-3)

    for kind in ("MP4", "GIF"):
        with page.expect_download() as download:
            page.get_by_role("link", name=kind).click()
        download.value.save_as(tmp_path / kind)
        assert download.value.suggested_filename == f"path.{kind.lower()}"
        with av.open(str(tmp_path / kind)) as film:
            assert len(list(film.decode(video=0))) == 9
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    path = json.loads(download.value.path().read_text())["path"]
    np.testing.assert_allclose([list(place["joints"].values()) for place in path[1:]], called[:8], atol=1e-3)


def test_joints_are_chosen_by_keys_and_space_stays_after_a_click(page):
    rows = page.locator(".joint")
    assert rows.evaluate_all("rows => rows.map(row => [row.disabled, row.getAttribute('aria-checked')])") == [
        [False, "true"],
        [True, "false"],  # no action drives it
    ]
    page.get_by_text("MOVE+", exact=True).click()
    steps(page, 1)
    page.keyboard.press(" ")
    steps(page, 2)
    assert page.evaluate("state.path.map(place => place.code)") == [None, MOVE_PLUS, STAY]
    page.keyboard.press("ArrowDown")  # there is no other
    page.keyboard.press("1")
    page.wait_for_function("() => waiting === 0 && state.dimension === 0")


def test_truth_uncertainty_and_error_can_be_laid_over(page):
    begin(page, 0)
    page.keyboard.press("f")  # what was recorded here
    steps(page, 1)
    assert page.evaluate("state.now.truth !== null && state.now.error !== null && state.now.uncertainty !== null")
    for key, overlay in (("e", "error"), ("u", "uncertainty")):
        page.keyboard.press(key)
        shown = page.locator("#imagined img.over").evaluate_all("images => images.map(one => [one.hidden, one.src])")
        assert shown == [[False, uri] for uri in page.evaluate(f"state.now.{overlay}")]
    page.keyboard.press("u")
    assert page.locator("#imagined img.over:visible").count() == 0
    assert page.locator("#truth").is_visible()
    assert page.locator(".thumb .beside").last.is_visible()
    page.get_by_role("button", name="Truth").click()
    assert page.locator("#truth").is_hidden()
    assert page.locator(".thumb .beside").last.is_hidden()
    for which in ("#expected-error", "#step-error", "#path-error"):
        assert re.fullmatch(r"\d+\.\d%", page.locator(which).inner_text())


def test_the_path_is_played_through_and_an_action_repeated_until_somebody_stops(page):
    begin(page, 0)
    assert page.locator("#play").is_disabled()
    page.keyboard.press("f")
    steps(page, 1)
    page.get_by_role("button", name="Follow the recording").click()  # to its end, six steps on
    page.wait_for_function("() => state.path.length === 7 && playing === null")
    assert page.locator("#trouble").inner_text() == "The recording ends here."
    path = page.evaluate("state.path.map(node => node.number)")

    page.evaluate(
        """() => {
            window.real = setTimeout;
            window.setTimeout = (work, ms) => ms === PACE ? ((window.later = work), 0) : real(work, ms);
        }"""
    )
    page.keyboard.press("p")
    assert page.locator("#title").inner_text() == "Start"
    page.evaluate("() => later()")  # a step's time has passed
    assert page.evaluate("view.at") == 1
    assert page.locator("#words").inner_text().startswith("step 1 of 6: ")
    shown = page.evaluate("[...document.querySelectorAll('#imagined .screen img:not(.over)')].map(one => one.src)")
    assert shown == page.evaluate("moments.get(state.path[1].number).pictures")
    assert page.locator(".thumb[aria-current=true] .told").first.inner_text() == "1"
    page.get_by_role("button", name="Stop").click()
    assert page.locator("#words").inner_text().startswith("step 6: ")
    page.keyboard.press("p")
    page.keyboard.press("Escape")
    assert page.evaluate("playing === null && view.at === null")
    page.evaluate("() => { window.setTimeout = real; }")
    assert page.evaluate("state.path.map(node => node.number)") == path  # looking back takes nothing back

    begin(page, 0)
    page.keyboard.press("ArrowRight")
    steps(page, 1)
    page.keyboard.press("a")
    page.wait_for_function("() => state.path.length > 2")
    page.keyboard.press(" ")  # stops, and takes no step
    page.wait_for_function("() => playing === null && waiting === 0")
    assert set(page.evaluate("state.path.slice(1).map(node => node.code)")) == {MOVE_PLUS}


def test_a_joint_at_its_end_stops_what_repeats(page):
    begin(page, 0)
    page.evaluate("stage.joints[0].name = 'pan'")
    page.evaluate("show({ ...state, now: { ...state.now, bounds: [1, 0] } })")
    assert page.locator(".joint .chip.bound:visible").all_inner_texts() == ["upper bound"]
    assert "pan" in page.locator("#status").inner_text()
    assert page.locator("#status").inner_text().endswith("at its upper bound")
    page.evaluate("repeated = 1")
    page.keyboard.press("a")
    page.wait_for_selector("#trouble:visible")
    assert page.locator("#trouble").inner_text() == "pan is at its upper bound."
    assert page.evaluate("state.path.length") == 1


def test_guesses_of_the_chosen_joint_are_explained(page):
    assert page.locator("#footnote").is_hidden()
    page.evaluate("Object.assign(stage, { unseen: [[0, 1], [0, 2], [1, 0]], guesses: [], practised: [] }); render()")
    assert page.locator("#footnote").inner_text() == (
        "MOVE+ and MOVE− are guesses: the training data do not contain them."
    )
    assert page.locator(".choice .chip.guess:visible").count() == 2
    page.evaluate("Object.assign(stage, { unseen: [], guesses: [0], practised: [0] }); render()")
    assert page.locator("#footnote").inner_text() == (
        "STAY is a guess: the training data do not contain it; the model practised it on frames that do not change."
    )
    assert page.locator(".choice .chip.guess:visible").count() == 1


@pytest.mark.parametrize("page", [{"viewport": {"width": 1280, "height": 800}}], indirect=True)
def test_pictures_grow_with_the_window_and_the_path_stays_in_view(page):
    begin(page, 0)
    page.keyboard.press("f")
    steps(page, 1)
    sizes = []
    for width, height in ((1280, 800), (1920, 1080), (2560, 1440)):
        page.set_viewport_size({"width": width, "height": height})
        for overlay in ("error", ""):
            page.locator(f'[data-overlay="{overlay}"]').click()
            path = page.locator(".path").bounding_box()
            assert path["y"] + path["height"] <= height
        sizes.append([page.locator(each).first.bounding_box()["width"] for each in (".screen", ".shot", ".thumb")])
    assert (np.diff(sizes, axis=0) > 0).all()
    assert sizes[0][0] > 150


def test_a_thumbnail_leads_back_and_reset_to_the_start(page):
    for number in (1, 2, 3):
        page.keyboard.press("ArrowRight")
        steps(page, number)
    page.locator(".thumb").nth(1).click()
    steps(page, 1)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    steps(page, 1)  # the session outlives the page
    assert page.locator(".thumb img").first.evaluate("image => image.naturalWidth > 0")
    page.keyboard.press("r")
    steps(page, 0)


def test_everything_can_be_reached_and_read_without_a_mouse(page):
    page.keyboard.press("Tab")
    outlined = set()
    for _ in range(40):
        outlined.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'"))
        if page.evaluate("document.activeElement.matches('.choice[data-which=\"1\"]')"):
            break
        page.keyboard.press("Tab")
    assert outlined == {True}
    page.keyboard.press("Enter")
    steps(page, 1)
    assert page.locator("#status").inner_text().startswith("Step 1, MOVE+ pan")
    unnamed = page.locator("button, a, input, select").evaluate_all(
        "all => all.filter(one => one.checkVisibility())"
        ".filter(one => !(one.ariaLabel || one.labels?.length || one.innerText)).length"
    )
    assert unnamed == 0


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        for width, scheme in itertools.product((390, 1200), ("light", "dark"))
    ],
    indirect=True,
)
def test_it_fits_phones_and_both_themes(page, tmp_path):
    page.keyboard.press("ArrowRight")
    steps(page, 1)
    picture = tmp_path / "page.png"
    page.screenshot(path=picture, full_page=True)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    width = page.viewport_size["width"]
    assert pixels.shape[1] == width
    assert page.evaluate("document.documentElement.scrollWidth") == width
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (pixels[2, 2].mean() < 60) == dark
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):  # the actions' colours, as everywhere
        assert (np.abs(pixels.astype(int) - colour).sum(-1) < 40).sum() > 200


@contextlib.contextmanager
def serving(app):
    """Where an app is served, by a thread of this process."""
    from forearm.play.server import address, listen, serve

    with listen("127.0.0.1", 0) as listening:
        threading.Thread(target=serve, args=(app, listening), daemon=True).start()
        yield address(listening, "127.0.0.1")


@pytest.fixture
def served(stage):
    """Where an app of its own is served, with every place free."""
    from forearm.play.access import Access
    from forearm.play.app import make_app

    with serving(make_app(stage, Access.of("127.0.0.1"))) as address:
        yield address


def test_pictures_on_another_site_take_no_place(browser, served):
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

    other, count = FastAPI(), MOST + 4
    images = "".join(f'<img src="{served}api/path?{number}">' for number in range(count))
    other.get("/", response_class=HTMLResponse)(lambda: f'{images}<a href="{served}">play</a>')
    _, cookie = ask(served, "api/path")
    with serving(other) as elsewhere:
        page, refused = browser.new_page(), []
        page.set_default_timeout(1000 * PATIENCE)
        page.on("requestfailed", lambda request: refused.append(request.url))
        page.goto(elsewhere)
        assert len(refused) == count
        page.get_by_role("link", name="play").click()  # a person may come from there
        page.wait_for_selector("body[data-ready]")
        page.close()
    assert ask(served, "api/path", cookie)[1] == ""
    assert ask(served, "api/path")[1]  # there are places left


def test_the_17th_visitor_sees_why_and_gets_the_next_place(browser, served, monkeypatch):
    monkeypatch.setattr("forearm.play.web.RETRY", 1)
    monkeypatch.setattr("forearm.play.visitors.KEPT_START", PATIENCE)
    for _ in range(MOST):
        ask(served, "api/path")
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(served)
    page.wait_for_selector("#full:visible")
    assert "All 16 places are taken" in page.locator("#full").inner_text()
    assert page.locator("main").is_hidden()
    monkeypatch.setattr("forearm.play.visitors.KEPT_START", 0)  # the others have been idle for long
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#full").is_hidden()
    assert page.locator("main").is_visible()
    page.close()


def ask(address, path, cookie=None, body=None):
    """What the server says to whoever has this cookie, and the cookie it gives."""
    headers = {"Content-Type": "application/json"} | ({"Cookie": cookie} if cookie else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers)) as answer:
        return json.load(answer), (answer.headers["Set-Cookie"] or "").split(";")[0]


def test_clicks_at_the_same_time_are_one(address):
    told, cookie = ask(address, "api/path")
    wanted = {"number": told["now"]["number"], "which": 1}
    clicks = [threading.Thread(target=ask, args=(address, "api/path/step", cookie, wanted)) for _ in range(8)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert len(ask(address, "api/path", cookie)[0]["path"]) == 2


def test_a_browser_that_leaves_in_mid_step_leaves_a_whole_dream(address):
    told, cookie = ask(address, "api/path")
    where = urllib.parse.urlsplit(address)
    for whole in (True, False):  # gone before the answer, or before its own words were out
        body = json.dumps({"number": told["now"]["number"], "which": 1})
        with socket.create_connection((where.hostname, where.port)) as line:
            head = f"POST /api/path/step HTTP/1.1\r\nHost: {where.netloc}\r\nCookie: {cookie}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            line.sendall((head + (body if whole else body[:5])).encode())
        after = ask(address, "api/path", cookie)[0]
        assert len(after["path"]) in (1, 2)
        told, _ = ask(address, "api/path/step", cookie, {"number": after["now"]["number"], "which": 0})
        assert len(told["path"]) == len(after["path"]) + 1
        told, _ = ask(address, "api/path/begin", cookie, {"source": "recording", "number": 0})


def test_what_the_app_needs_is_named(run, monkeypatch):
    for module in ("forearm.play.app", "forearm.play.web", "forearm.play.server"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    said = refused(run.path, run.path, "--port", 0)
    assert said == "this needs fastapi; install it with: pip install 'forearm[play]'"


def test_it_listens_for_this_machine_alone(address):
    assert urllib.parse.urlsplit(address).hostname == "127.0.0.1"
    call = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(address).port)
    call.request("GET", "/", headers={"Host": "evil.example"})
    assert call.getresponse().status == 403


# What a user gets wrong


def refused(folder, *args):
    before = files(folder)
    said = error_of(forearm("play", *args, "--device", "cpu"))
    assert files(folder) == before
    return said


def test_a_port_in_use(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(run.path, run.path, "--port", port)
    assert re.search(rf"cannot listen on port {port} of 127.0.0.1: .*; choose another --port", said)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--port", 70000), "there is no port 70000"),
        (("--port", -1), "there is no port -1"),
        (("--host", "203.0.113.7", "--port", 0), "cannot listen on port 0 of 203.0.113.7"),
        (("--data", "nowhere", "--port", 0), "nowhere is no dataset of transitions"),
        (("--simulator", 0, "--port", 0), "the simulated SO-101 has no"),
        (("--simulator", -1, "--port", 0), "the simulator's seed is -1"),
    ],
)
def test_options_that_cannot_be(run, options, says):
    if "--simulator" in options and find_spec("mujoco") is None:
        pytest.skip("needs the extra `sim`")
    assert says in refused(run.path, run.path, *options)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("best.safetensors", None, "best.safetensors is missing; train the run first"),
        ("best.safetensors", b"garbage" * 100, "best.safetensors is damaged"),
        ("config.json", None, "is no run (no config.json)"),
        ("layout.json", b"[]", "the layout is"),
    ],
)
def test_runs_without_a_model(run, tmp_path, name, content, says):
    spoilt = shutil.copytree(run.path, tmp_path / "run")
    (spoilt / name).unlink()
    if content is not None:
        (spoilt / name).write_bytes(content)
    assert says in refused(tmp_path, spoilt, "--port", 0)


def test_runs_whose_data_are_gone(run, tmp_path):
    alone = shutil.copytree(run.path, tmp_path / "run")
    config = json.loads((alone / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    (alone / "config.json").write_text(json.dumps(config))
    said = refused(tmp_path, alone, "--port", 0)
    assert "gone is no dataset of transitions" in said
    assert "--data, or --simulator" in said
