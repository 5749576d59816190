"""``forearm push``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from forearm.commands.console import console
from forearm.commands.options import Anything


@dataclass(frozen=True)
class PushOptions:
    folder: Anything
    """A run, a dataset or a recording."""
    hub_id: Positional[Annotated[str, tyro.conf.arg(metavar="user/name")]]
    """Where it goes on the Hub."""
    private: bool = False
    """Only you and whom you let may see it, where it is new."""
    licence: str = ""
    """The licence that you give it, by its SPDX name, such as apache-2.0."""
    dataset: str = ""
    """Of a run: the Hub id of the dataset that it was trained on."""
    dry_run: Path | None = None
    """Write what would be uploaded, with its card, to this folder, and upload nothing."""


def push(options: PushOptions) -> None:
    """Upload a run or a dataset to the Hub, with a card made from its report.

    Whoever has the id uses it in place of a folder: forearm play user/name.

    Paths of this machine are left out.

    Example: forearm push run me/shoulder --licence apache-2.0 --dry-run card
    """
    import tempfile

    from forearm.base.files import require_absent, writing_folder
    from forearm.base.hub import push as upload
    from forearm.base.hub import require_id
    from forearm.report.parcel import pack

    require_id(options.hub_id)
    if options.dataset:
        require_id(options.dataset)
    settings = {"licence": options.licence, "dataset": options.dataset}
    if options.dry_run is not None:
        require_absent(options.dry_run, "--dry-run")
        with writing_folder(options.dry_run) as new:
            kind = pack(options.folder, new, options.hub_id, **settings)
        _say("would go", options.dry_run, kind.title, options)
        print(options.dry_run / "README.md")
        return
    with tempfile.TemporaryDirectory() as there:
        kind = pack(options.folder, Path(there), options.hub_id, **settings)
        _say("go", Path(there), kind.title, options)
        print(upload(Path(there), kind, options.hub_id, options.private))


def _say(verb: str, folder: Path, title: str, options: PushOptions) -> None:
    """Say what goes where, before it goes."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in files) / 1e6
    whom = "private where it is new" if options.private else "public where it is new"
    text = f"{len(files)} files of a {title}, {size:.1f} MB, {verb} to {options.hub_id} on the Hub ({whom})"
    console.print(text, markup=False, highlight=False, soft_wrap=True)
