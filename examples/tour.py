"""From a recording to a plan in one sitting, with a simulated arm: run it, or open it as a notebook.

It needs the simulator (pip install 'forearm[sim]') and half a minute. Everything goes to the folder `tour`.
"""

# %% A recording: single actions of a simulated SO-101, as LeRobot writes them
from pathlib import Path

import forearm
from forearm.sim import RecordingSettings, record

folder = Path("tour")
record(folder / "recording", RecordingSettings(episodes=12, fps=2, size=64), processes=1)
recording = forearm.open_recording(folder / "recording")
print(f"{len(recording.episodes)} episodes at {recording.fps:g} fps, joints {', '.join(recording.joints)}")

# %% A dataset: what was seen, what was done, what was seen then
data = forearm.build(folder / "recording", folder / "data", forearm.BuildConfig(val=0.25))
print(f"{len(data)} transitions on canvases of {data.layout.height}×{data.layout.width} pixels")

# %% A model: far too small and trained for far too short, so that nobody waits
small = {"width": 16, "levels": 2}
config = forearm.TrainConfig(steps=20, warmup=5, evaluate_every=20)
run = forearm.train(folder / "data", folder / "run", model=small, config=config)

# %% How good is it? The report is a page; the figures stand beside it
report = forearm.evaluate(run, samples=2, rollouts=0)
print(f"the report: {report}")

# %% What would each action show? Pictures and joints, imagined
for action in ("STAY", "MOVE+", "MOVE-"):
    (seen,) = forearm.imagine(run, [action])
    print(f"{action}: {data.layout.joint_names[0]} at {seen.joints[0]:.1f}, a picture of {seen.picture.shape}")

# %% What leads to a goal? Planned in imagination, from the first transition to where the shoulder was in the last
goal = float(data.positions(data.rows())[-1, -1, 0])
plan = forearm.plan(run, forearm.PlanSettings(joints={data.layout.joint_names[0]: goal}, start=0, steps=3))
print(f"{plan.actions} actions: {plan.outcome}")
