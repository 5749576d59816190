"""The page of ``forearm live`` in a real browser: a prediction is seen before the arm moves, and a stop stops it."""

import itertools
import threading

import pytest
from support.waiting import PATIENCE

pytest.importorskip("uvicorn", reason="needs the extra `play`", exc_type=ImportError)

from forearm.play.access import Access
from forearm.play.live_app import make_live_app
from forearm.play.server import address, listen, serve


@pytest.fixture
def served(live):
    """Where the session with the tiny arm is served."""
    with listen("127.0.0.1", 0) as listening:
        app = make_live_app(live, Access.of("127.0.0.1"))
        threading.Thread(target=serve, args=(app, listening), daemon=True).start()
        yield address(listening, "127.0.0.1")


@pytest.fixture
def page(browser, served):
    """The page, opened by a new visitor; whatever goes wrong in it is an error here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page, wrong = context.new_page(), []
    page.set_default_timeout(1000 * PATIENCE)
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(served)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert not wrong


def sources(page, view):
    return page.locator(f"#{view} .screen img:not(.over)").evaluate_all("images => images.map(one => one.src)")


def trials(page, count):
    page.wait_for_function("count => waiting === 0 && state.path.length === count", arg=count)


def test_an_action_is_seen_then_carried_out_then_compared(page, arm, live):
    assert page.locator("#execute").is_disabled()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert arm.said == []  # nobody has taken control
    page.get_by_role("button", name="Take control").click()
    page.wait_for_function("() => arm.control === 'you'")
    assert page.locator("#words").inner_text() == "what MOVE+ pan +10° would show"
    predicted = page.evaluate("state.previews[1].pictures")
    assert sources(page, "imagined") == predicted
    assert sources(page, "truth") == page.evaluate("state.now.pictures")
    page.get_by_role("button", name="Execute MOVE+").click()
    trials(page, 1)
    assert arm.said == ["moved"]
    assert sources(page, "imagined") == predicted
    assert sources(page, "truth") == page.evaluate("state.now.pictures") != predicted
    page.keyboard.press("e")
    assert page.locator("#imagined img.over:visible").count() == 2
    error = page.locator("#trial-error").inner_text()
    assert error == page.evaluate("state.path[0].step_error") != "–"
    assert page.locator("#summary").inner_text().startswith(f"mean error {error} ·")

    page.keyboard.press("Enter")  # to the next action, and not yet to the arm
    assert page.locator("#words").inner_text() == "what MOVE+ pan +10° would show"
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    trials(page, 2)
    assert arm.joints[0] == 10
    page.locator(".thumb").first.click()
    assert page.locator("#words").inner_text() == "trial 1: MOVE+ pan +10°"
    page.keyboard.press("Enter")
    high = int(page.evaluate("stage.joints[0].high"))
    page.fill("#move-to", str(high))
    page.get_by_role("button", name="Move", exact=True).click()
    page.wait_for_function("high => waiting === 0 && state.now.joints[0] === high", arg=high)
    assert page.locator('.choice[data-which="1"]').get_attribute("class") == "choice forbidden"
    page.keyboard.press("ArrowRight")
    assert page.locator("#execute").is_disabled()
    page.locator("#move-to").focus()
    page.keyboard.press("Escape")  # stops also from within a field
    page.wait_for_selector("#alarm:visible")
    assert page.locator("#alarm").inner_text().startswith("Stopped; the arm holds its position.")
    assert arm.said[-1] == "hold"
    live.session.trouble = "the robot could not be read from: camera wrist timed out; see to its cables"
    page.wait_for_function("() => document.querySelector('#alarm p').textContent.includes('wrist timed out')")


def test_it_fits_phones_and_both_themes_and_the_stop_is_always_in_view(page):
    page.get_by_role("button", name="Take control").click()
    page.wait_for_function("() => arm.control === 'you'")
    page.keyboard.press("Enter")
    trials(page, 1)
    for width, scheme in itertools.product((390, 1280), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for end in (0, "document.body.scrollHeight"):
            page.evaluate(f"scrollTo(0, {end})")
            box = page.locator("#stop").bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 800
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, paper[4:-1].split(","))) < 60) == (scheme == "dark")
        unnamed = page.locator("button, a, input, select").evaluate_all(
            "all => all.filter(one => one.checkVisibility())"
            ".filter(one => !(one.ariaLabel || one.labels?.length || one.innerText)).length"
        )
        assert unnamed == 0
