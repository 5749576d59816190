"""Asking a predictor under every action: one forward pass for each action, diagnosis and uncertainty included."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import CODES

ByCode = dict[int, np.ndarray]


@runtime_checkable
class Diagnosable(Protocol):
    """A predictor that knows how to look into itself."""

    def diagnose(self, batch: Batch, truth: Tensor) -> tuple[Prediction, dict[str, Tensor]]:
        """What ``predict`` says of contexts, and figures about how it came to be.

        Args:
            truth: (B, 3, H, w) the true last frames, which the figures may be held against and the prediction not.

        Returns:
            the prediction, and figures per sample, each (B,), (B, K) or (B, rows, columns); their means become
            ``Evaluation.extras``.
        """
        ...


@dataclass(frozen=True)
class Answers:
    """What a predictor says of B contexts."""

    under: ByCode
    """For each action code the predicted last frames (B, 3, H, w); under its own a sample's action is what it was."""
    expected: ByCode | None
    """For each action code the expected squared errors (B, h, w), if the predictor expects any."""
    figures: dict[str, np.ndarray]
    """Its own figures about the predictions under the actions taken."""


class Questions:
    """What everyone is asked of B transitions, drawn once: what each action leads to, beginning with that taken."""

    def __init__(self, batch: Batch, codes: np.ndarray):
        """``codes`` (B,) are those of the actions taken."""
        self.context = batch.context()
        """The contexts with the actions taken."""
        asked = {code: codes != code for code in CODES}
        self.others = {code: (mask, batch[mask].under(code)) for code, mask in asked.items() if mask.any()}
        """For each code a mask (B,) of the samples with another action, and their contexts under this one."""


def ask(predict: Callable[[Batch], Prediction], questions: Questions) -> Answers:
    """Predict under the action taken, and under each other one."""
    return _answers(predict, predict(questions.context), {}, questions)


class Remote:
    """A predictor on a device, asked from the CPU."""

    def __init__(self, predictor: Predictor, device: torch.device | str):
        self._predictor, self._device = predictor, device

    def predict(self, batch: Batch) -> Prediction:
        """Predict on the device; batch and prediction are on the CPU."""
        with torch.inference_mode():
            return self._predictor.predict(batch.to(self._device)).to("cpu")


class Clock:
    """Predicts, and remembers how long it took."""

    def __init__(self, predictor: Predictor, device: torch.device | str):
        self._predictor, self._device = predictor, device
        self._call = Remote(predictor, device).predict
        self._per_sample: list[float] = []
        self._single: list[float] = []
        self._batch_size = 0
        self.running = True
        """Whether it takes the time: where several predict at once, each is slower than alone."""

    def predict(self, context: Batch) -> Prediction:
        """Predict contexts; the answer is on the CPU."""
        if not self.running:
            return self._call(context)
        if not self._single:
            self._time_single(context)
        start = time.perf_counter()
        prediction = self._call(context)
        self._per_sample.append((time.perf_counter() - start) / len(context))
        self._batch_size = max(self._batch_size, len(context))
        return prediction

    def ask(self, questions: Questions, truth: np.ndarray) -> Answers:
        """The same as ``ask``, with the figures of whoever is `Diagnosable`; their pass is not timed.

        Args:
            truth: (B, 3, H, w) the true last frames.
        """
        if not isinstance(self._predictor, Diagnosable):
            return ask(self.predict, questions)
        context = questions.context.to(self._device)
        with torch.inference_mode():
            own, figures = self._predictor.diagnose(context, torch.from_numpy(truth).to(self._device))
        arrays = {name: values.float().cpu().numpy() for name, values in figures.items()}
        return _answers(self.predict, own.to("cpu"), arrays, questions)

    def latency(self) -> dict[str, float]:
        """Median milliseconds: for one sample alone, and per sample in a batch of ``batch_size``."""
        return {
            "single_ms": float(np.median(self._single) * 1000),
            "per_sample_ms": float(np.median(self._per_sample) * 1000),
            "batch_size": float(self._batch_size),
        }

    def _time_single(self, context: Batch, repeats: int = 10, budget_s: float = 2.0) -> None:
        one = context[:1]
        self._call(one)  # warms up
        while len(self._single) < repeats and sum(self._single) < budget_s:
            start = time.perf_counter()
            self._call(one)
            self._single.append(time.perf_counter() - start)


def _answers(
    predict: Callable[[Batch], Prediction], own: Prediction, figures: dict[str, np.ndarray], questions: Questions
) -> Answers:
    predicted = {code: (mask, predict(context)) for code, (mask, context) in questions.others.items()}

    def of_all(part: str) -> ByCode:
        under = {code: getattr(own, part).numpy().copy() for code in CODES}
        for code, (mask, prediction) in predicted.items():
            under[code][mask] = getattr(prediction, part).numpy()
        return under

    return Answers(of_all("frame"), None if own.expected_error is None else of_all("expected_error"), figures)


def taken(under: ByCode, codes: np.ndarray) -> np.ndarray:
    """Of what is said under each code, (B, …), that under the action that was taken."""
    return np.stack([under[int(code)][i] for i, code in enumerate(codes)])
