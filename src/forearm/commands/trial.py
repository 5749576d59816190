"""``forearm trial``."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from forearm.commands.console import console, counting, show_page
from forearm.commands.options import Device, RunFolder, only_with
from forearm.trials.settings import TrialSettings


@dataclass(frozen=True)
class TrialOptions:
    run: RunFolder
    """The run in whose imagination policies act: trained on commands (build --actions command)."""
    out: Path
    """A folder to write the report, the figures and the sheets to; only an earlier trial there is replaced."""
    successes: Path | None = None
    """A folder to write the imagined successes to, as a LeRobot recording to learn from; it must not exist."""
    device: Device = "auto"
    """Where to predict."""
    trials: OmitArgPrefixes[TrialSettings] = field(default_factory=TrialSettings)
    """Which policies are tried, from where, and who judges."""


RULES = (only_with("policy", "best_of"),)


def trial(options: TrialOptions) -> None:
    """Try policies in what a run imagines, and say which one works.

    All begin at the same recorded moments.

    Success has an interval; policies are compared in pairs on the same starts.

    With --simulator every trial is also carried out there: the truth.

    Example: forearm trial run --data test --policy replay noise:5 --out trials
    """
    import datetime
    import sys

    from forearm.base.devices import device_named
    from forearm.base.files import require_absent, require_place, write_json
    from forearm.report.trials_page import FIGURES, PAGE, Facts, require_own, save_trials
    from forearm.training.run import Run
    from forearm.trials.dreaming import successes_spec, write_successes
    from forearm.trials.trial import trial as try_policies
    from forearm.trials.trying import Film

    run = Run.open(options.run)
    require_own(options.out)
    require_place(options.out)
    if options.successes is not None:
        require_absent(options.successes, "--successes")
        successes_spec(run.layout())  # before minutes are spent
    kept: list[Film] = []
    with counting("trying") as watch:
        results, shown = try_policies(
            *(run, options.trials),
            sheets=options.out / "sheets",
            device=str(device_named(options.device)),
            watch=lambda what, done, total: watch(done, total, what),
            on_films=lambda name, films, tried: kept.extend(
                film
                for film, good in zip(films, tried.successes & ~tried.abstained, strict=True)
                if good and options.successes is not None
            ),
        )
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / FIGURES, results.to_json())
    facts = Facts(
        run.name,
        (options.trials.data or run.data_folder()).resolve().name,
        datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        ("forearm", *sys.argv[1:]),
    )
    page = save_trials(results, shown, facts, options.out / PAGE)
    show_page(page)
    if options.successes is not None:
        abstained = sum(int((tried.successes & tried.abstained).sum()) for tried in results.tried)
        write_successes(options.successes, kept, run.layout(), abstained)
        console.print(f"{len(kept)} imagined successes: {options.successes}", soft_wrap=True)
