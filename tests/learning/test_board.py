"""What the page is told, and what people say on it."""

import json
import threading

import pytest
from support.commands import error_of, forearm
from support.learning import BarArm, BarWorld, bar_layout, bar_run, learner
from support.waiting import PATIENCE, wait_until

from forearm.learning.board import Board
from forearm.learning.recording import Stopped
from forearm.learning.worlds import RobotWorld

testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra `play`")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A learner that has ended after a cycle, its board, and what a browser's requests reach."""
    from forearm.play.learn_app import make_learn_app

    folder, board = tmp_path_factory.mktemp("board"), Board("in a test")
    run = bar_run(folder)
    found = learner(run, folder / "out", BarWorld(run.layout()), board.show, actions=3)
    found.learn()
    return found, board, testclient.TestClient(make_learn_app(board), base_url="http://localhost")


def test_a_port_that_cannot_be_is_refused_before_a_folder_is_begun(tmp_path):
    said = error_of(forearm("learn", tmp_path, "--simulator", 1, "--out", tmp_path / "out", "--port", 99999))
    assert said == "there is no port 99999; choose one up to 65535, or 0 for any that is free"
    assert not (tmp_path / "out").exists()


def test_the_state_says_what_learning_has_come_to(shown):
    found, _, browser = shown
    state = browser.get("/api/learning").json()
    assert state["actions"] == 3
    assert state["outcome"] == "all actions are recorded"
    assert state["cycles"][1]["locked"]["value"] == found.cycles[1].locked.value
    visits = [[[0] * 3 for _ in range(3)] for _ in range(2)]
    for trial in found.trials:
        dimension, part, code = trial.cell
        visits[dimension][part][code] += 1
        assert state["errors"][dimension][part][code] is not None
    assert sum(sum(map(sum, parts)) for parts in visits) == 3
    assert state["latest"]["error"] == found.trials[-1].error
    assert [picture["title"] for picture in state["latest"]["pictures"]] == ["before", "predicted", "after"]
    json.dumps(state, allow_nan=False)


def test_the_page_loads_nothing_that_is_not_there(shown):
    _, _, browser = shown
    text = browser.get("/").text
    for name in ("/app.css", "/learn.css", "/learn.js"):
        assert name in text
        assert browser.get(name).status_code == 200
    assert "default-src 'none'" in browser.get("/").headers["Content-Security-Policy"]
    assert browser.post("/api/stop", headers={"origin": "http://elsewhere"}).status_code == 403


def test_a_rearranged_scene_counts_for_the_next_action(shown):
    found, _, browser = shown
    assert browser.post("/api/rearranged", content="").json()["waiting"] == ""
    assert found._scene(found.trials[:1]) == (1, True)
    assert found._scene(found.trials[:1]) == (0, False)


def test_the_arm_waits_for_a_person_who_was_asked(shown):
    found, board, browser = shown
    world, asked = RobotWorld(BarArm(bar_layout()), board.ask), []
    waiting = threading.Thread(target=lambda: asked.append(world.enter(1, wide=False, told=False)))
    waiting.start()
    wait_until(lambda: board.to_json()["waiting"])
    browser.post("/api/rearranged", content="")
    waiting.join(PATIENCE)
    assert asked == [None]
    world.enter(1, wide=False, told=False)  # it is the present one: nobody is asked
    world.enter(2, wide=False, told=True)  # a person has done it already
    found.folder.stop_file.touch()
    with pytest.raises(Stopped):
        world.enter(3, wide=False, told=False)
    found.folder.stop_file.unlink()


def test_stop_on_the_page_is_the_stop_file(shown):
    found, _, browser = shown
    browser.post("/api/stop", content="")
    assert not found.folder.stop_file.exists(), "it has ended already"
    found.outcome = ""
    browser.post("/api/stop", content="")
    assert found.folder.stop_file.exists()
