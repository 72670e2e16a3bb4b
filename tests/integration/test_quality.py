from __future__ import annotations

from pathlib import Path

import numpy as np

from mien import EmotionRecognizer
from mien.hub import read_model_folder


def _crops(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)


def test_trained_models_have_their_sets(trained: Path) -> None:
    config = read_model_folder(trained).config
    assert config.conformal is not None
    assert config.conformal.faces == 36, "the half of valid that did not choose the epoch"
    assert config.quality is not None
    (face,) = EmotionRecognizer(trained, detector="none").predict(_crops(1)[0]).faces
    assert face.prediction_set is not None
