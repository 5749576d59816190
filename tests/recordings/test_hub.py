"""Of a recording on the Hub only the files are fetched that the wanted episodes need, and each once."""

from pathlib import Path

import pytest
from support.commands import forearm
from support.recordings import CAMERA, DATA_PATH, VIDEO_PATH, make_recording

from forearm.base.files import read_json
from forearm.recordings import open_recording
from forearm.transitions.build import build
from forearm.transitions.settings import BuildConfig

LENGTHS = (12, 9, 15, 9)
SETTINGS = {"size": 32, "actions": "change", "step": 0.3, "stride": 0.2, "val": 0.0}


def published(hub, root: Path) -> None:
    """Put a recording on the Hub."""
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    hub.repositories["dataset", "me/moves"], hub.private["dataset", "me/moves"] = files, False


def fetched(hub) -> set[str]:
    """The files that were fetched, but those that say where the others are."""
    files = [line.split("/resolve/")[1].partition("/")[2] for line in hub.asked if line.startswith("GET /datasets/")]
    assert len(set(files)) == len(files), "each is fetched once"
    return {file for file in files if not file.startswith("meta/")}


def single(index: int) -> set[str]:
    fields = {"episode_chunk": 0, "episode_index": index, "video_key": CAMERA}
    return {DATA_PATH[0].format(**fields), VIDEO_PATH[0].format(**fields)}


def shared(file: int) -> set[str]:
    fields = {"chunk_index": 0, "video_key": CAMERA}
    return {DATA_PATH[1].format(file_index=0, **fields), VIDEO_PATH[1].format(file_index=file, **fields)}


@pytest.mark.parametrize(
    ("version", "options", "files"),
    [
        ("v2.1", {"episodes": "1,3"}, single(1) | single(3)),
        ("v2.1", {"exclude": "0:3"}, single(3)),
        ("v3.0", {"episodes": "3"}, shared(1)),
        ("v3.0", {"episodes": ":2", "exclude": "0"}, shared(0)),
    ],
)
def test_only_what_the_wanted_episodes_need_is_fetched(hub, tmp_path, version, options, files):
    root = make_recording(tmp_path / "set", version=version, lengths=LENGTHS)
    published(hub, root)
    config = BuildConfig(**SETTINGS, **options)
    data = build("me/moves", tmp_path / "data", config)
    assert fetched(hub) == files
    own = build(root, tmp_path / "own", config)
    for name in ("frames.npy", "states.npy", "transitions.parquet"):
        assert (data.path / name).read_bytes() == (own.path / name).read_bytes()
    (said,) = (line for line in read_json(data.path / "dataset.json")["choices"] if "were fetched" in line)
    assert f"{len(data.episodes)} of 4 episodes of me/moves were fetched" in said
    assert [episode["recording"] for episode in data.episodes] == ["me/moves"] * len(data.episodes)
    assert [len(episode) for episode in open_recording("me/moves").read()] == list(LENGTHS), "then all are fetched"
    held = [path.read_bytes() for path in (tmp_path / "home").rglob("*.mp4") if not path.is_symlink()]
    assert len(set(held)) == len(held), "and no file is kept twice"


def test_images_beside_the_tables_are_fetched_too(hub, tmp_path):
    root = make_recording(tmp_path / "set", lengths=LENGTHS, images="path")
    for index in range(4):
        folder = root / f"images/{CAMERA}/episode_{index:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "note.txt").write_text(str(index))
    published(hub, root)
    open_recording("me/moves", episodes="2")
    assert {file for file in fetched(hub) if "note" in file} == {f"images/{CAMERA}/episode_000002/note.txt"}


def test_where_files_lie_elsewhere_than_is_said_all_are_fetched(hub, tmp_path):
    root = make_recording(tmp_path / "set", lengths=LENGTHS)
    for path in list(root.rglob("*.mp4")):
        path.rename(path.with_name(f"{CAMERA}_{path.name}"))
    published(hub, root)
    (episode,) = open_recording("me/moves", episodes="1").read(episodes=[1])
    assert len(episode) == LENGTHS[1]


def test_episodes_that_are_not_there_are_refused_before_they_are_fetched(hub, tmp_path):
    published(hub, make_recording(tmp_path / "set", lengths=LENGTHS))
    for words, says in (
        (("--episodes", "7"), "there is no episode 7; there are 4 episodes"),
        (("--exclude", ":"), "leave none of the 4 episodes of me/moves"),
    ):
        refused = forearm("build", "me/moves", "--out", tmp_path / "data", *words)
        assert refused.code == 2
        assert says in refused.err.splitlines()[-1]
    assert not fetched(hub)
