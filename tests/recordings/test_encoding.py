"""Video out: what is written depends on the pictures alone."""

import av
import numpy as np
import pytest

from forearm.recordings import encoding


def moving_waves(size: int, seed: int) -> np.ndarray:
    """Eight pictures of waves that drift under noise, (8, size, size, 3) uint8."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    waves = [np.sin((x + 3 * t) / 5 + c) * np.cos((y - t) / 7) for t in range(8) for c in range(3)]
    pictures = 128 + 100 * np.stack(waves, axis=-1).reshape(size, size, 8, 3).transpose(2, 0, 1, 3)
    return (pictures + random.normal(0, 8, pictures.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_a_video_is_the_same_on_every_processor(tmp_path, monkeypatch, seed):
    """Also a guard against x264's AVX-512 routine that reads unwritten memory: no processor's own routine decides."""

    def packets(name: str) -> list[bytes]:
        encoding.encode(tmp_path / name, moving_waves(224, seed), fps=10)
        with av.open(str(tmp_path / name)) as container:
            return [bytes(packet) for packet in container.demux(video=0)]

    fast = packets("fast.mp4")
    plain = encoding.ENCODER_OPTIONS["x264-params"] + ":asm=0"
    monkeypatch.setitem(encoding.ENCODER_OPTIONS, "x264-params", plain)
    assert packets("plain.mp4") == fast
