"""How fast a run imagines trials side by side:

    python benchmarks/dreaming.py RUN [RUN …]

writes docs/benchmarks/dreaming.md. Runs are of commanded targets; worlds begin at held-out episodes of their data, and
joints are commanded at random. Each figure is of a process of its own. Time of the processor is that of all threads
together: on a machine that others use it says more than the clock.
"""

import argparse
import json
import math
import time

import numpy as np
from measuring import ROOT, circumstances, in_own_process, write_table

TABLE = ROOT / "docs" / "benchmarks" / "dreaming.md"
WORLDS, STEPS, WARM = (1, 4, 16), 60, 3


def stepping(run: str, worlds: int) -> dict:
    """Seconds of a step by the clock, median and least, and of the processor, median."""
    import forearm.gym
    from forearm.training.run import Run

    env = forearm.gym.imagined_vector(run, num_envs=worlds, horizon=STEPS + WARM, most_expected_error=math.inf)
    observation, _ = env.reset(seed=0)
    random, clock, processor = np.random.default_rng(0), [], []
    reach = (env.action_space.high - env.action_space.low) / 20
    for _ in range(STEPS + WARM):
        commands = observation["observation.state"] + random.normal(0, 1, reach.shape) * reach
        begin = time.perf_counter(), time.process_time()
        observation, *_ = env.step(commands)
        clock.append(time.perf_counter() - begin[0])
        processor.append(time.process_time() - begin[1])
    config = Run.open(run).config()
    told = [name.replace("_", " ") for name in ("joint_maps", "contact") if config["model"].get(name)]
    sizes = ", ".join(f"{height}×{width}" for height, width in env.worlds.cameras.values())
    return {
        "run": ", ".join([config["family"], sizes, *told]),
        "median": float(np.median(clock[WARM:])),
        "least": min(clock[WARM:]),
        "processor": float(np.median(processor[WARM:])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(stepping(options.runs[0], options.one)))
        return
    rows = []
    for run in options.runs:
        for worlds in WORLDS:
            figures = in_own_process(__file__, run, "--one", str(worlds))
            seconds = " | ".join(f"{1000 * figures[name]:.0f} s" for name in ("median", "least", "processor"))
            rows.append(f"| {figures['run']} | {worlds} | {seconds} |")
    text = f"""# Trials in the dream

{circumstances()}. Made by `python benchmarks/dreaming.py`; {STEPS} steps, each row in a process of its own.

Seconds for 1,000 steps of all worlds, by the clock and of the processor (all threads together).

| run | worlds | median | least | processor |
|---|---:|---:|---:|---:|
"""
    write_table(TABLE, text + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
