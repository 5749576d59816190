"""Settings of the masked autoencoder."""

from dataclasses import dataclass

from forearm.models.settings import LearningConfig, require_heads, require_positive


@dataclass(frozen=True)
class MAEConfig(LearningConfig):
    """Size of the masked autoencoder, and what it is given."""

    width: int = 384
    """Features of a token in the encoder."""
    depth: int = 8
    """Blocks of the encoder."""
    heads: int = 6
    """Attention heads of the encoder."""
    decoder_width: int = 192
    """Features of a token in the decoder."""
    decoder_depth: int = 4
    """Blocks of the decoder."""
    decoder_heads: int = 6
    """Attention heads of the decoder."""
    copy: bool = True
    """Give the decoder the previous frame's patch under each masked one, so that it predicts the change; without it
    (the classical form) a masked patch starts from nothing."""
    state_embedding: bool = True
    """Give it the joints and the action as numbers too, embedded and added to its tokens; without it they are only
    drawn on the canvas."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in ("", "decoder_"):
            require_heads(getattr(self, part + "width"), getattr(self, part + "heads"), part)
            require_positive(self, part + "depth")
