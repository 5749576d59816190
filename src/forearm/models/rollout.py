"""What comes of several actions one after another: predictions fed back."""

import torch

from forearm.canvas import Layout
from forearm.models.world_model import Predictor
from forearm.transitions.batch import Batch


@torch.inference_mode()
def rollout(
    predictor: Predictor, layout: Layout, first: Batch, actions: torch.Tensor, entries: torch.Tensor
) -> torch.Tensor:
    """Predict K steps on; each step sees what the steps before have predicted.

    Args:
        predictor: paints the last frame of a context.
        layout: of ``first``'s canvases.
        first: B moments to start from. Neither their last frames nor their last actions are looked at.
        actions: (B, K, A) signed amounts in [−1, 1], K ≥ 1.
        entries: (B, K) the action entry that each decision is about.

    Returns:
        the predicted frames with their strips, (B, K, 3, H, w) float32 in [0, 1], where the predictions are.
    """
    context = first.with_action(layout, actions[:, 0], entries[:, 0])
    regions = [predictor.predict(context)]
    for step in range(1, actions.shape[1]):
        context = context.then(layout, regions[-1], actions[:, step], entries[:, step])
        regions.append(predictor.predict(context))
    return torch.stack(regions, dim=1)
