"""A small policy learned from demonstrations, in minutes of one core, and how forearm trial judges it. One command:

    python examples/behaviour_cloning.py DATA --demonstrations 100 --out policy.safetensors
    forearm trial RUN --data TEST --policy examples/behaviour_cloning.py:load:policy.safetensors

DATA is a dataset that forearm build made with --actions command. As in ACT (Zhao et al. 2023) a transformer reads the
pictures of all cameras and the joints, and says the next joint targets as one chunk. Which object is to be moved, and
where to, is marked in the pictures: the object's box at the start, and the place where its middle is to be.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK, CARRIED_OUT = 10, 5
"""Targets that are predicted, and how many of them are carried out before the policy looks again."""
SIDE, WIDTH = 64, 96
TREMOR = 1.5
"""Standard deviation, in the joints' units, of what is added to a chunk where the policy has a seed."""


class Network(nn.Module):
    """From pictures (n, C, 5, 64, 64), joints (n, J) and goals (n, C · 6) to a chunk (n, CHUNK, J), all normalised."""

    def __init__(self, cameras: int, joints: int) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            *(nn.Conv2d(5, 24, 5, 2, 2), nn.GroupNorm(4, 24), nn.ReLU()),
            *(nn.Conv2d(24, 48, 3, 2, 1), nn.GroupNorm(4, 48), nn.ReLU()),
            *(nn.Conv2d(48, 64, 3, 2, 1), nn.GroupNorm(4, 64), nn.ReLU()),
            nn.Conv2d(64, WIDTH, 3, 2, 1),
        )
        cells = (SIDE // 16) ** 2
        self.places = nn.Parameter(0.02 * torch.randn(cameras * cells + 1, WIDTH))
        self.body = nn.Linear(joints + 6 * cameras, WIDTH)
        self.queries = nn.Parameter(0.02 * torch.randn(CHUNK, WIDTH))
        layer = {"d_model": WIDTH, "nhead": 4, "dim_feedforward": 192, "dropout": 0.1, "batch_first": True}
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**layer, norm_first=True), 2, enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer, norm_first=True), 1)
        self.hand = nn.Linear(WIDTH, joints)
        for name, fill in (("centre", 0.0), ("spread", 1.0), ("reach", 1.0)):
            self.register_buffer(name, torch.full((joints,), fill))

    def forward(self, pictures: Tensor, joints: Tensor, goals: Tensor) -> Tensor:
        """Targets (n, CHUNK, J) in the joints' units."""
        n = len(pictures)
        seen = self.eye(pictures.flatten(0, 1)).flatten(2).transpose(1, 2).reshape(n, -1, WIDTH)
        body = self.body(torch.cat([(joints - self.centre) / self.spread, goals], 1))[:, None]
        memory = self.encoder(torch.cat([seen, body], 1) + self.places)
        chunk = self.hand(self.decoder(self.queries.expand(n, -1, -1), memory))
        return joints[:, None] + chunk * self.reach


def seen(pictures: list[np.ndarray], box: np.ndarray, place: np.ndarray) -> tuple[Tensor, Tensor]:
    """What the network sees of n moments: pictures (n, C, 5, 64, 64), and goals (n, C · 6) in [−1, 1].

    Args:
        pictures: of each camera, (n, h, w, 3) uint8.
        box: (n, C, 4) the object at the start, in shares of the pictures; NaN where it is not seen.
        place: (n, C, 2) where its middle is to be.
    """
    centres, cameras = (np.arange(SIDE) + 0.5) / SIDE, []
    for number, of in enumerate(pictures):
        shown = torch.from_numpy(np.ascontiguousarray(of)).permute(0, 3, 1, 2).float() / 255
        shown = shown if shown.shape[-1] == SIDE else F.interpolate(shown, (SIDE, SIDE), mode="area")
        left, top, right, bottom = np.moveaxis(box[:, number], -1, 0)[:, :, None]
        inside = ((left <= centres) & (centres < right))[:, None] & ((top <= centres) & (centres < bottom))[:, :, None]
        x, y = np.moveaxis(place[:, number], -1, 0)[:, :, None]
        disc = np.exp(-(((centres - x) ** 2)[:, None] + ((centres - y) ** 2)[:, :, None]) / (2 * 0.04**2))
        marks = torch.from_numpy(np.stack([inside.astype(np.float32), np.nan_to_num(disc).astype(np.float32)], 1))
        cameras.append(torch.cat([shown, marks], 1))
    goals = np.concatenate([box.reshape(len(box), -1), place.reshape(len(place), -1)], axis=1)
    return torch.stack(cameras, 1), torch.from_numpy(np.nan_to_num(2 * goals - 1).clip(-2, 2).astype(np.float32))


class Cloned:
    """The policy: a network that acts. With a seed other than 0 it trembles, so that several proposals differ."""

    def __init__(self, network: Network) -> None:
        self.network, self.seed, self._rng = network.eval(), 0, np.random.default_rng(0)

    def reset(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    @torch.inference_mode()
    def act(self, observation: dict[str, Any]) -> np.ndarray:
        cameras = [value for name, value in observation.items() if name.startswith("observation.images.")]
        pictures, goals = seen(cameras, observation["goal.box"], observation["goal.place"])
        chunk = self.network(pictures, torch.from_numpy(observation["observation.state"]), goals).numpy()
        if self.seed:
            chunk = chunk + self._rng.normal(0, TREMOR, (len(chunk), 1, chunk.shape[2]))
        return chunk[:, :CARRIED_OUT].astype(np.float32)


def load(path: str) -> Cloned:
    """The policy that a file holds."""
    tensors = load_file(path)
    network = Network((len(tensors["places"]) - 1) // (SIDE // 16) ** 2, len(tensors["centre"]))
    network.load_state_dict(tensors)
    return Cloned(network)


def learn(demonstrations: list[Any], minutes: float, seed: int = 0, rate: float = 1e-3) -> Network:
    """Learn from demonstrations (`forearm.trials.starts.Demonstration`) for some minutes of the processor's time."""
    torch.manual_seed(seed)
    joints = demonstrations[0].states.shape[1]
    first, ends = [], np.cumsum([len(each.states) for each in demonstrations])
    for end, each in zip(ends, demonstrations, strict=True):
        first += [end] * len(each.states)
    last = np.array(first) - 1
    cameras = [np.concatenate([each.pictures[name] for each in demonstrations]) for name in demonstrations[0].pictures]
    states = np.concatenate([each.states for each in demonstrations])
    commands = np.concatenate([np.concatenate([each.commands, each.commands[-1:]]) for each in demonstrations])
    goals = [
        np.concatenate([np.repeat(getattr(each, name)[None], len(each.states), 0) for each in demonstrations])
        for name in ("box", "place")
    ]
    ahead = np.minimum(np.arange(len(states))[:, None] + np.arange(CHUNK), last[:, None])
    network = Network(len(cameras), joints)
    network.centre[:], network.spread[:] = torch.from_numpy(states.mean(0)), torch.from_numpy(states.std(0) + 1e-3)
    network.reach[:] = torch.from_numpy(np.abs(commands[ahead] - states[:, None]).mean((0, 1)) + 1e-3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    begin, budget, rng, steps = time.process_time(), 60 * minutes, np.random.default_rng(seed), 0
    network.train()
    while (spent := time.process_time() - begin) < budget:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (steps + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * min(1, spent / budget)))
        rows = rng.integers(0, len(states), 32)
        pictures, goal = seen([of[rows] for of in cameras], *(of[rows] for of in goals))
        pictures[:, :, :3] = pictures[:, :, :3] * (1 + 0.1 * torch.randn(len(rows), 1, 1, 1, 1)) + 0.01 * torch.randn(1)
        now = torch.from_numpy(states[rows]) + 0.5 * torch.randn(len(rows), joints)
        chunk = network(pictures, now, goal)
        loss = ((chunk - torch.from_numpy(commands[ahead[rows]])) / network.reach).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 250 == 0:
            print(f"step {steps}, loss {loss.item():.3f}, {spent:.0f} s", flush=True)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="datasets of demonstrations, built with --actions command")
    parser.add_argument("--demonstrations", type=int, default=100, help="how many episodes to learn from")
    parser.add_argument("--minutes", type=float, default=4.0, help="of the processor's time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    from forearm.trials.starts import demonstrations

    torch.set_num_threads(1)
    shown = [each for path in arguments.data for each in demonstrations(path)][: arguments.demonstrations]
    network = learn(shown, arguments.minutes, arguments.seed)
    save_file(network.state_dict(), arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
