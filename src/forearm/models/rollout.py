"""What comes of several actions one after another: predictions fed back."""

import torch
from torch import Tensor

from forearm.batch import Batch, Prediction, Predictor


@torch.inference_mode()
def rollout(predictor: Predictor, first: Batch, actions: Tensor, entries: Tensor) -> list[Prediction]:
    """Predict K steps on; each step sees what the steps before have predicted.

    Args:
        first: B contexts to start from. Neither their last frames nor their last actions are looked at.
        actions: (B, K, A) signed amounts in [−1, 1], K ≥ 1.
        entries: (B, K) the action entry that each decision is about.

    Returns:
        the prediction of each of the K steps, for all B contexts, where the predictor is.
    """
    context = first.with_action(actions[:, 0], entries[:, 0])
    predictions = [predictor.predict(context)]
    for step in range(1, actions.shape[1]):
        context = context.then(predictions[-1], actions[:, step], entries[:, step])
        predictions.append(predictor.predict(context))
    return predictions
