"""Worlds that can be computed."""

import numpy as np

from forearm.environment.worlds import Seen
from forearm.trials.starts import Start
from forearm.trials.trying import try_out


class Obedient:
    """Worlds whose joints are where they are commanded to be; the picture is as bright as the first joint is large."""

    seconds = 0.2

    def __init__(self):
        self.at = np.zeros((16, 2), np.float32)

    def begin(self, worlds, starts):
        self.at[worlds] = np.array(starts, np.float32)[:, None]
        return self.seen(worlds)

    def step(self, worlds, commands):
        self.at[worlds] = commands
        return self.seen(worlds)

    def seen(self, worlds):
        at = self.at[worlds]
        pictures = np.broadcast_to(at[:, :1, None, None], (len(at), 8, 8, 3)).clip(0, 255).astype(np.uint8)
        return Seen({"base": pictures, "wrist": pictures}, at.copy(), at[:, 0] / 100, at[:, 0] >= 20, [""] * len(at))

    def close(self):
        """Nothing is held."""


def start(episode, commands, **given):
    """A start whose episode commanded the first joint so, and the second to 0."""
    commands = np.column_stack([commands, np.zeros(len(commands))]).astype(np.float32)
    blank = {name: np.zeros((8, 8, 3), np.uint8) for name in ("base", "wrist")}
    return Start(episode, given.pop("task", "go up"), blank, given.pop("last", blank), commands, **given)


def films(policy, starts, horizon=4):
    return try_out(Obedient(), policy, starts, horizon)
