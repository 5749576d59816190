"""The Hub: recordings, datasets and runs by id, and there and back.

What is fetched is data: LeRobot's files, arrays, JSON and safetensors, which run no code when they are opened.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError

HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
"""``user/name``, or ``user/name@revision``."""
TIMEOUT = 10.0
"""Seconds for which the Hub may be silent."""


@dataclass(frozen=True)
class Kind:
    """What lies under an id."""

    repo_type: str
    """``model`` or ``dataset``, as the Hub sorts it."""
    title: str
    """As a message names it."""
    mark: str
    """A file that every such folder has."""
    parts: tuple[str, ...]
    """Patterns of the files that belong to it."""
    is_written_to: bool = True
    """Whether commands write into its folder: then it has one of its own, not one in the Hub's cache of links."""


RECORDING = Kind(
    "dataset", "LeRobot data set", "meta/info.json", ("meta/**", "data/**", "videos/**", "images/**"), False
)
DATASET = Kind("dataset", "dataset", "dataset.json", ("*.json", "*.parquet", "*.npy", "frames/*.bin"))
RUN = Kind(
    "model",
    "run",
    "config.json",
    (
        *("config.json", "layout.json", "machine.json", "notes.txt", "log.jsonl"),
        *("best.safetensors", "last.safetensors", "evaluation*/*", "evaluation*/grids/*"),
    ),
)


def at_revision(source: str | Path, revision: str | None) -> str | Path:
    """``user/name`` as ``user/name@revision``.

    Raises:
        ForearmError: a folder has no revisions, or the source names another revision.
    """
    if revision is None:
        return source
    hub_id = None if Path(source).expanduser().exists() else HUB_ID.fullmatch(f"{source}")
    if hub_id is None:
        raise ForearmError(f"{source} is no Hub id, so that it has no revision {revision}")
    if hub_id[2] not in (None, revision):
        raise ForearmError(f"{source} names another revision than {revision}; name one")
    return f"{hub_id[1]}@{revision}"


def local_folder(source: str | Path, kind: Kind = RECORDING, parts: Sequence[str] = ()) -> Path:
    """The folder of a recording, a dataset or a run: ``source`` itself, or the download of what has that id.

    Args:
        source: a folder, ``user/name`` or ``user/name@revision``, a branch, tag or commit.
        kind: what it is.
        parts: patterns of the files to fetch from the Hub; by default all that belong to the kind.

    Raises:
        ForearmError: ``source`` is no folder, and the Hub does not give out such a thing.
    """
    folder, hub_id = Path(source).expanduser(), HUB_ID.fullmatch(str(source))
    if folder.exists() or hub_id is None:
        if not folder.is_dir():
            raise ForearmError(f"{source} is no folder; give a {kind.title}'s folder or its Hub id")
        return folder
    from huggingface_hub import snapshot_download  # slow to import, and seldom needed

    _limit_waiting()
    own = place_of(source, kind) if kind.is_written_to else None
    try:
        found = snapshot_download(
            hub_id[1],
            repo_type=kind.repo_type,
            revision=hub_id[2],
            allow_patterns=list(parts or kind.parts),
            local_dir=own,
        )
    except Exception as error:  # the Hub's client raises many kinds; the user needs one line of any
        raise ForearmError(
            f"{source} is neither a folder here nor a {kind.title} the Hub gives out: {_reason(error)}"
        ) from error
    if not (Path(found) / kind.mark).is_file() and kind.is_written_to:
        raise ForearmError(f"{source} on the Hub is no {kind.title} (no {kind.mark})")
    return Path(found)


def place_of(source: str | Path, kind: Kind) -> Path:
    """Where a dataset or a run of an id is kept on this machine."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "forearm" / f"{kind.title}s" / str(source)


def at_hand(path: Path, *kinds: Kind) -> Path:
    """A dataset or a run where it is: the path itself, or the Hub's download where nothing is there and it is an id.

    Args:
        path: a folder or an id.
        kinds: what it may be. Of several kinds, the id of none is returned as it is.

    Raises:
        ForearmError: the Hub does not answer, or does not give out such a thing.
    """
    hub_id = None if path.exists() else HUB_ID.fullmatch(str(path))
    if hub_id is None:
        return path
    found = kinds if len(kinds) == 1 else [kind for kind in kinds if _is_kind(hub_id, kind)]
    return local_folder(path, found[0]) if found else path


def _is_kind(hub_id: re.Match[str], kind: Kind) -> bool:
    """Whether the Hub has something of a kind under an id."""
    from huggingface_hub import HfApi  # its own function asks the address that was known when it was imported

    _limit_waiting()
    try:
        return HfApi().file_exists(hub_id[1], kind.mark, repo_type=kind.repo_type, revision=hub_id[2])
    except Exception as error:
        raise ForearmError(f"{hub_id[0]} is no folder here, and the Hub cannot be asked: {_reason(error)}") from error


def push(folder: Path, kind: Kind, hub_id: str, private: bool) -> str:
    """Upload the files of a folder that belong to its kind, and its card; the repository is made if it is new.

    Returns:
        the address of what was uploaded.

    Raises:
        ForearmError: the Hub does not take it.
    """
    from huggingface_hub import HfApi

    _limit_waiting()
    api = HfApi()
    try:
        api.create_repo(hub_id, repo_type=kind.repo_type, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=hub_id,
            repo_type=kind.repo_type,
            folder_path=folder,
            allow_patterns=["README.md", *kind.parts],
            commit_message=f"a {kind.title} of forearm",
        )
    except Exception as error:
        raise ForearmError(f"{hub_id} cannot be pushed to the Hub: {_reason(error)}") from error
    return str(commit.repo_url)


def require_id(text: str) -> str:
    """Refuse what is no ``user/name``."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise ForearmError(f"{text} is no Hub id; give user/name")
    return text


def _reason(error: Exception) -> str:
    """The first line of what the Hub's client says."""
    if any("Timeout" in type(each).__name__ for each in _causes(error)):
        return f"it has not answered for {TIMEOUT:g} seconds; try again later"
    reason = str(error).strip().splitlines()
    return reason[0] if reason else type(error).__name__


def _limit_waiting() -> None:
    """Bound how long the Hub's client waits for an answer, which it does for files but not for lists of them."""
    from huggingface_hub.utils import get_session

    session: Any = get_session()
    if not hasattr(session, "event_hooks"):  # requests, before huggingface_hub 1.0
        if not isinstance(session.request, partial):
            session.request = partial(_request_in_time, session.request)
    elif _in_time not in session.event_hooks["request"]:
        session.event_hooks["request"].append(_in_time)


def _in_time(request: Any) -> None:
    """Give a request of httpx the time-outs that it has not."""
    given = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {kind: given.get(kind) or TIMEOUT for kind in ("connect", "read", "write", "pool")}


def _request_in_time(send: Callable[..., Any], *args: Any, timeout: float | None = None, **options: Any) -> Any:
    """Send a request of requests with a time-out."""
    return send(*args, timeout=timeout or TIMEOUT, **options)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
