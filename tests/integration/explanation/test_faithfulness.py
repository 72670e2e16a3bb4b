from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer
from mien.explanation import explain_crops
from mien.explanation.faithfulness import blurred, random_maps, replace_marked


def _falls(
    recognizer: EmotionRecognizer, crops: np.ndarray, maps: np.ndarray, share: float = 0.25
) -> np.ndarray:
    """By how much p(top label) falls when the marked quarter of each face is blurred."""
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(crops))
    rows, top = np.arange(len(crops)), probs.argmax(axis=1)
    deleted = replace_marked(crops, blurred(crops), maps, share)
    after = recognizer.pipeline.probs(recognizer.pipeline.logits(deleted))
    falls: np.ndarray = probs[rows, top] - after[rows, top]
    return falls


def _check(recognizer: EmotionRecognizer, crops: np.ndarray, method: str) -> None:
    marked = _falls(recognizer, crops, explain_crops(recognizer, crops, method=method))
    chance = np.mean(
        [_falls(recognizer, crops, random_maps(len(crops), 48, seed=s)) for s in range(3)], axis=0
    )
    gain = marked - chance
    error = gain.std(ddof=1) / len(gain) ** 0.5
    assert gain.mean() > 0.02
    assert gain.mean() > 4 * error


@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_marked_places_matter_more_than_random_ones_on_real_faces(
    shared: Path, method: str
) -> None:
    pytest.importorskip("pyarrow")
    from mien.data import read_manifest
    from mien.data.faces import load_faces

    part = read_manifest(f"ferplus:{shared / 'data' / 'ferplus'}").split("valid").with_labels()
    recognizer = EmotionRecognizer(detector="none")
    count = 300 if method == "cam" else 40
    chosen = np.random.default_rng(0).permutation(len(part))[:count]
    _check(recognizer, load_faces(part.select(chosen), recognizer.config.preprocessing), method)


def test_marked_places_matter_more_than_random_ones_on_drawn_faces(trained: Path) -> None:
    from support.faces import LABELS, draw_face

    faces = [draw_face(label, 900 + seed) for label in LABELS for seed in range(40)]
    crops = np.stack([np.asarray(face) for face in faces])[..., None]
    _check(EmotionRecognizer(trained, detector="none"), crops, "cam")
