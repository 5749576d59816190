"""The film at the top of the README: what a run imagines from the first picture and the actions alone, beside what the
simulator shows.

    python scripts/film.py demo/run docs/pictures/imagined.webp
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from forearm.batch import present
from forearm.canvas import Action
from forearm.control.planners import full_moves, leaves_bounds
from forearm.environment import ImaginedEnvironment
from forearm.environment.simulated import SimulatedEnvironment
from forearm.media.labels import labelled
from forearm.media.words import action_words
from forearm.training.run import Run

MILLISECONDS = 500
"""Of a step, as long as an action lasts."""
QUALITY = 80


def frames(run: Run, scene: int, steps: int) -> list[np.ndarray]:
    """Pictures (h, w, 3) uint8 of a walk in a scene that training did not see; most steps go on as the last one."""
    layout, random = run.layout(), np.random.default_rng(scene)
    world = ImaginedEnvironment(run.load(), truth=SimulatedEnvironment.in_scene(layout, scene))
    world.truth.reset(0)
    world.reset(present(layout, world.truth.observe()))
    values, dimensions = (each.numpy() for each in full_moves(layout))
    shown, move = [_frame(world, "both start from this picture")], 0
    for _ in range(steps):
        inside = ~leaves_bounds(layout, world.state.observation.joints, values)
        if not inside[move] or random.random() < 0.3:
            move = random.choice(np.flatnonzero(inside))
        world.step(Action(values[move], int(dimensions[move])))
        shown.append(_frame(world, action_words(layout, values[move])))
    return shown


def _frame(world: ImaginedEnvironment, words: str) -> np.ndarray:
    state, count = world.state, len(world.history) - 1
    pictures = [("imagined", state.observation.picture), ("simulated", state.truth.picture)]
    return labelled(pictures, (f"step {count}, from the first picture and the actions alone", words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scene", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    first, *others = map(Image.fromarray, frames(Run.open(options.run), options.scene, options.steps))
    first.save(options.out, "WEBP", save_all=True, append_images=others, duration=MILLISECONDS, loop=0, quality=QUALITY)
    print(options.out)


if __name__ == "__main__":
    main()
