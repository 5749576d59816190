"""Recording a data set of the simulated arm with several processes."""

from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from forearm.arms.arm import recording_spec
from forearm.arms.protocol import session_of
from forearm.base.errors import ForearmError
from forearm.base.processes import cores, working
from forearm.recordings import Recorder
from forearm.recordings.objects import ObjectNames
from forearm.sim.names import CAMERAS, JOINTS, UNITS
from forearm.sim.objects import World
from forearm.sim.protocol import record_episode, scene_of
from forearm.sim.settings import SETTINGS_KEPT, RecordingSettings
from forearm.sim.simulator import Simulator
from forearm.sim.teleoperation import record_task, world_of

Watch = Callable[[int, int], None]


def record(
    out: Path,
    settings: RecordingSettings,
    processes: int | None = None,
    watch: Watch = lambda done, total: None,
) -> None:
    """Record a LeRobot v3.0 data set into ``out``.

    Episodes gather in ``out`` + ".partial" until they are complete; after an interruption the same call goes on.

    Args:
        out: a folder that does not exist yet.
        settings: what to record.
        processes: how many work at it; by default one per core.
        watch: is called with how many episodes are recorded, of how many.

    Raises:
        ForearmError: settings are unsound or differ from those of the interrupted recording, or ``out`` exists or
            cannot be written.
        KeyboardInterrupt: passed on, saying how to go on.
    """
    settings.require_sound()
    if processes is not None and processes < 1:
        raise ForearmError(f"processes is {processes}; choose at least 1")
    world = world_of(settings)
    environment = ObjectNames(tuple(thing.name for thing in world.draw(0)), CAMERAS).names() if world else ()
    cameras = dict.fromkeys(CAMERAS, (settings.size, settings.size))
    spec = recording_spec(JOINTS, UNITS, cameras, settings.fps, tuple(environment))
    plain = {**asdict(settings), "joints": list(settings.joints), "actions": dict(settings.actions)}
    recorder = Recorder(Path(out), spec, plain, keep=SETTINGS_KEPT)
    try:
        with recorder.recording():
            missing = sorted(set(range(settings.episodes)) - set(recorder.staged()))
            missing.sort(key=lambda index: session_of(settings, index))  # so that a process changes session rarely
            _stage_all(recorder, settings, missing, min(processes or cores(), len(missing)), watch)
            recorder.finish()
    except KeyboardInterrupt:
        done = len(recorder.staged())
        raise KeyboardInterrupt(
            f"stopped after {done} of {settings.episodes} episodes; run the same command again to go on"
        ) from None


def _stage_all(
    recorder: Recorder, settings: RecordingSettings, indices: list[int], processes: int, watch: Watch
) -> None:
    done = settings.episodes - len(indices)
    watch(done, settings.episodes)
    if processes <= 1:
        for number, index in enumerate(indices, done + 1):
            _stage(recorder, settings, index)
            watch(number, settings.episodes)
        return
    with working(processes) as pool:
        begun = [pool.submit(_stage, recorder, settings, index) for index in indices]
        for number, staged in enumerate(as_completed(begun), done + 1):
            staged.result()
            watch(number, settings.episodes)


@lru_cache(maxsize=1)  # neighbours in the queue share a session
def _simulator(seed: int, world: World | None) -> Simulator:
    return Simulator(seed, world)


def _stage(recorder: Recorder, settings: RecordingSettings, index: int) -> None:
    simulator = _simulator(scene_of(settings, index), world_of(settings))
    recorder.stage(index, (record_task if settings.by_expert else record_episode)(simulator, settings, index))
