"""A page without a server, opened from the disk, with a model of a few lines in the runtime's place."""

import gzip
import hashlib
import json
import os
from base64 import b64decode

import pytest
from support.commands import error_of, forearm

from forearm.play import offline, runtime

MODEL = """
const ort = {
  env: { wasm: {} },
  Tensor: class { constructor(type, data, dims) { Object.assign(this, { data, dims }); } },
  InferenceSession: { create: async (bytes) => ({
    inputNames: ["pictures", "joints", "actions", "fed_back", "steps"],
    inputMetadata: [{ name: "steps", shape: ["b", 1] }],
    run: async ({ pictures, joints, actions, fed_back, steps }) => { // joints move by 10°, pictures stay
      const light = pictures.data.slice(0, pictures.data.length / fed_back.data.length).reduce((sum, x) => sum + x);
      window.ran = { text: new TextDecoder().decode(bytes), steps: [...steps.data], fed_back: [...fed_back.data] };
      window.ran.light = light;
      return {
        picture: { data: pictures.data },
        next_joints: { data: joints.data.map((value, i) => value + (i % 2 ? 0 : 10 * actions.data[i / 2])) },
        expected_error: { data: new Float32Array(pictures.data.length / 3).fill(0.01) },
        mode: { data: pictures.data.map((value) => value / 2) },
        next_steps: { data: steps.data.map((value) => value + 1) },
      };
    },
  }) },
};
"""


@pytest.fixture
def page(run, tmp_path, monkeypatch):
    """The page of the tiny run, at the moments where its validation episodes begin."""

    def export(run, file, checkpoint, feed_back):
        assert feed_back
        file.write_text("a model")
        return 0.0

    monkeypatch.setattr(offline, "export_onnx", export)
    files = {runtime.SCRIPT: MODEL.encode(), runtime.GLUE: b"", runtime.WASM: b"wasm"}
    monkeypatch.setattr(offline, "runtime", lambda folder: files)
    return offline.export_page(run, tmp_path / "page", starts=2)


def test_a_page_from_the_disk_is_played(browser, page):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    shown, said, asked = context.new_page(), [], []
    shown.set_default_timeout(120_000)  # of a busy machine
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(page.index.as_uri())
    shown.wait_for_selector("body[data-ready]")
    assert shown.text_content("#run") == "run · family warp"
    assert shown.locator(".choice:visible").count() == 3
    before, light = shown.text_content(".joint .value"), shown.evaluate("ran.light")
    shown.click('.choice[data-which="1"]')
    shown.wait_for_function("state.path.length === 2")
    assert shown.text_content(".joint .value") != before
    assert shown.text_content("#expected-error") == "10.0%"
    assert shown.evaluate("ran.text") == "a model"
    assert shown.evaluate("ran.fed_back")[0] == 1
    assert shown.evaluate("ran.light") == pytest.approx(light / 2), "the mode is fed back"
    shown.click('.choice[data-which="1"]')
    shown.wait_for_function("state.path.length === 3")
    assert shown.evaluate("ran.steps")[:3] == [2, 2, 2]  # what was carried comes back
    shown.click("#undo")
    shown.wait_for_function("state.path.length === 2")
    shown.click("#reset")
    shown.wait_for_function("state.path.length === 1")
    assert shown.text_content(".joint .value") == before
    shown.keyboard.press("f")  # what was recorded
    shown.wait_for_function("state.path.length === 2")
    assert shown.text_content("#path-error") != "–"  # the truth is known
    assert shown.locator("a[download]").count() == 0
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert not said
    assert all(each.startswith(("file:", "data:", "blob:")) for each in asked)
    context.close()


def test_the_page_is_made_of_scripts_alone(page):
    folder = page.index.parent
    assert page.starts == 2
    packed = (folder / "model.js").read_text().removeprefix("const MODEL = ").removesuffix(";\n")
    assert gzip.decompress(b64decode(json.loads(packed))) == b"a model"
    assert "MIT" in (folder / "NOTICE.txt").read_text()
    assert 'src="/' not in page.index.read_text()


def test_an_existing_folder_is_kept(run, page):
    said = error_of(forearm("export", run.path, "--page", page.index.parent))
    assert "exists" in said


def npm(folder, script):
    """An npm that does what a script says."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'npm error: no network' >&2; exit 1", "npm does not fetch .* no network"),
        ("echo other > onnxruntime-web.tgz", "another package than was released"),
    ],
)
def test_a_runtime_that_npm_does_not_give_is_said(script, says, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", script))
    with pytest.raises(runtime.ForearmError, match=says):
        runtime.runtime()
    assert not list((tmp_path / "cache").rglob("*.wasm"))


def test_the_runtime_is_fetched_once_and_can_be_given(tmp_path, monkeypatch):
    files = {name: name.encode() for name in (runtime.SCRIPT, runtime.GLUE, runtime.WASM)}
    dist = tmp_path / "package" / "dist"
    dist.mkdir(parents=True)
    for name, content in files.items():
        (dist / name).write_bytes(content)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", f"tar -czf ort.tgz -C {tmp_path} package; cp ort.tgz {tmp_path}"))
    sums = []
    monkeypatch.setattr(runtime, "b64encode", lambda digest: sums.append(digest) or runtime.INTEGRITY.encode())
    assert runtime.runtime() == files
    assert sums == [hashlib.sha512((tmp_path / "ort.tgz").read_bytes()).digest()]
    assert runtime.runtime() == files
    assert len(sums) == 1
    assert runtime.runtime(tmp_path / "package") == files
    with pytest.raises(runtime.ForearmError, match=runtime.SCRIPT):
        runtime.runtime(tmp_path / "bin")
