"""What the tests of clips share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.demo.config import DemoConfig
from mien.demo.photo import Model, open_models
from mien.images import decode
from support import ROOT

av = pytest.importorskip("av")


SAMPLE = ROOT / "src/mien/assets/sample/astronaut.jpg"


@pytest.fixture(scope="module")
def model() -> Model:
    return next(iter(open_models(DemoConfig()).values()))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the bundled photo, moved a little from frame to frame."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    photo = decode(SAMPLE)[:288, :288]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 288, 288, "yuv420p"
        for shift in range(20):
            frame = av.VideoFrame.from_ndarray(np.roll(photo, shift, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
