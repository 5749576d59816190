"""``forearm inspect``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from forearm.base.errors import shown
from forearm.base.hub import DATASET, RUN
from forearm.commands.console import counting, show, show_page
from forearm.commands.options import Anything, DatasetFolder, Device, not_with, only_with


@dataclass(frozen=True)
class InspectOptions:
    path: Annotated[Anything, RUN, DATASET]
    """A folder or a Hub id."""
    pictures: Path | None = None
    """A PNG file to write some of its canvases or pictures to."""
    html: Path | None = None
    """A page to write, on which its canvases can be browsed by action, joint, episode and error; only an earlier such
    page there is replaced."""
    samples: int = 200
    """How many canvases the page shows at most; all actions, joints and episodes are among them."""
    data: DatasetFolder = None
    """The dataset that the page shows a run on; the validation part of its own data by default."""
    device: Device = "auto"
    """Where a run predicts."""
    audit: bool = False
    """Look for what can spoil learning: bad pictures, joints and clocks, pauses, copies, odd episodes. --html then
    writes that page. The exit code is 1 if something that matters is found."""
    json: Path | None = None
    """A file to write what the audit found to."""
    follow_links: bool = False
    """Follow links that lead out of a recording's folder."""


RULES = (
    only_with("audit", "json"),
    not_with("audit", "samples", "data", "pictures"),
    only_with("html", "samples", "data"),
    only_with("html|audit", "device"),
)


def inspect(options: InspectOptions) -> None:
    """Say what a recording, a dataset of transitions or a run is and holds.

    Example: forearm inspect data --html data.html
    """
    from forearm.report.browse import save_gallery
    from forearm.report.inspection import facts_of, save_pictures

    if options.audit:
        _audit(options)
        return
    show(facts_of(options.path, options.follow_links), Console(highlight=False, emoji=False))
    if options.pictures is not None:
        save_pictures(options.path, options.pictures, options.follow_links)
        print(options.pictures)
    if options.html is not None:
        with counting("drawing") as watch:
            save_gallery(
                options.path,
                options.html,
                samples=options.samples,
                data=options.data,
                device=options.device,
                follow_links=options.follow_links,
                watch=watch,
            )
        show_page(options.html)


def _audit(options: InspectOptions) -> None:
    """Say what an audit finds, and leave with exit code 1 if anything matters."""
    from forearm.base.files import require_kind, require_replaceable, write_json
    from forearm.report.audit import audit
    from forearm.report.audit_page import GENERATOR, save_audit

    if options.html is not None:
        require_replaceable(options.html, GENERATOR, "--html")  # before anything is looked at or written
    if options.json is not None:
        require_kind(options.json, b"{", "--json")
    with counting("auditing") as watch:
        found = audit(options.path, options.device, watch, options.follow_links)
    print(found.verdict)
    if found.subject.actions:
        print(f"- Actions: {shown(found.subject.actions)}.")
    for finding in found.findings:
        print(f"{'!' if finding.matters else '-'} {shown(finding.says)} {shown(finding.todo)}")
    if options.json is not None:
        write_json(options.json, found.to_json())
        print(options.json)
    if options.html is not None:
        show_page(save_audit(found, options.html))
    if found.matters:
        sys.exit(1)
