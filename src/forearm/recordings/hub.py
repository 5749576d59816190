"""Recordings by Hub id."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError

HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
"""``user/name``, or ``user/name@revision``."""
PARTS = ["meta/**", "data/**", "videos/**", "images/**"]
TIMEOUT = 10.0
"""Seconds for which the Hub may be silent."""


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


def local_folder(source: str | Path) -> Path:
    """The folder of a recording: ``source`` itself, or the download of the Hub's data set of that id.

    Args:
        source: a folder, ``user/name`` or ``user/name@revision``, a branch, tag or commit.

    Raises:
        ForearmError: ``source`` is no folder, and the Hub does not give out such a data set.
    """
    folder, hub_id = Path(source).expanduser(), HUB_ID.fullmatch(str(source))
    if folder.exists() or hub_id is None:
        if not folder.is_dir():
            raise ForearmError(f"{source} is no folder; give a LeRobot data set's folder or its Hub id")
        return folder
    from huggingface_hub import snapshot_download  # slow to import, and seldom needed

    _limit_waiting()
    try:
        return Path(snapshot_download(hub_id[1], repo_type="dataset", revision=hub_id[2], allow_patterns=PARTS))
    except Exception as error:  # the Hub's client raises many kinds; the user needs one line of any
        reason = str(error).strip().splitlines()
        if any("Timeout" in type(each).__name__ for each in _causes(error)):
            reason = [f"it has not answered for {TIMEOUT:g} seconds; try again later"]
        raise ForearmError(
            f"{source} is neither a folder here nor a data set the Hub gives out: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error


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
