"""Recordings by Hub id."""

import re
from pathlib import Path

from forearm.errors import ForearmError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PARTS = ["meta/**", "data/**", "videos/**", "images/**"]


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a recording: ``source`` itself, or the download of the Hub's data set of that id.

    Raises:
        ForearmError: ``source`` is no folder, and the Hub does not give out such a data set.
    """
    folder = Path(source).expanduser()
    if folder.exists() or not HUB_ID.fullmatch(str(source)):
        if not folder.is_dir():
            raise ForearmError(f"{source} is no folder; give a LeRobot data set's folder or its Hub id")
        return folder
    from huggingface_hub import snapshot_download  # slow to import, and seldom needed

    try:
        return Path(snapshot_download(str(source), repo_type="dataset", revision=revision, allow_patterns=PARTS))
    except Exception as error:  # the Hub's client raises many kinds; the user needs one line of any
        reason = str(error).strip().splitlines()
        raise ForearmError(
            f"{source} is neither a folder here nor a data set the Hub gives out: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error
