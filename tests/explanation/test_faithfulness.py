from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien import ConfigError, EmotionRecognizer, InputError
from mien.explanation import Faithfulness, explain_crops, faithfulness
from mien.explanation.faithfulness import blurred, random_maps, replace_marked


def test_areas_by_hand() -> None:
    found = Faithfulness(
        np.array([0.0, 0.5, 1.0]), np.array([[1.0, 0.5, 0.0]]), np.array([[0.0, 1.0, 1.0]])
    )
    assert found.deletion_area.tolist() == [0.5]
    assert found.insertion_area.tolist() == [0.75]
    assert found.score.tolist() == [0.25]
    assert found.to_dict() == {"faces": 1, "deletion": 0.5, "insertion": 0.75, "score": 0.25}


def test_curves_run_between_the_face_and_its_blur() -> None:
    recognizer = EmotionRecognizer(detector="none")
    crops = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 1)).astype(np.uint8)
    columns = np.array([0, 1, 2])
    found = faithfulness(recognizer, crops, random_maps(3, 48), columns, steps=4)
    whole = recognizer.pipeline.probs(recognizer.pipeline.logits(crops))[np.arange(3), columns]
    none = recognizer.pipeline.probs(recognizer.pipeline.logits(blurred(crops)))[
        np.arange(3), columns
    ]
    assert found.deletion.shape == (3, 5)
    for curve, start, end in ((found.deletion, whole, none), (found.insertion, none, whole)):
        assert curve[:, 0] == pytest.approx(start, abs=1e-5)
        assert curve[:, -1] == pytest.approx(end, abs=1e-5)


def test_wrong_shapes_are_refused() -> None:
    recognizer = EmotionRecognizer(detector="none")
    crops = np.zeros((2, 48, 48, 1), np.uint8)
    with pytest.raises(InputError):
        faithfulness(recognizer, crops, np.zeros((1, 48, 48)), np.array([0, 0]))
    with pytest.raises(InputError):
        faithfulness(recognizer, crops[:0], np.zeros((0, 48, 48)), np.zeros(0, np.int64))
    with pytest.raises(ConfigError, match="steps"):
        faithfulness(recognizer, crops, np.zeros((2, 48, 48)), np.array([0, 0]), steps=0)


def _falls(
    recognizer: EmotionRecognizer, crops: np.ndarray, maps: np.ndarray, share: float = 0.25
) -> np.ndarray:
    """By how much p(top label) falls when the marked quarter of each face is blurred."""
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(crops))
    rows, top = np.arange(len(crops)), probs.argmax(axis=1)
    deleted = replace_marked(crops, blurred(crops), maps, share)
    return (
        probs[rows, top] - recognizer.pipeline.probs(recognizer.pipeline.logits(deleted))[rows, top]
    )


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
    count = 300 if method == "cam" else 60
    chosen = np.random.default_rng(0).permutation(len(part))[:count]
    _check(recognizer, load_faces(part.select(chosen), recognizer.config.preprocessing), method)


def test_marked_places_matter_more_than_random_ones_on_drawn_faces(trained: Path) -> None:
    from faces_made import LABELS, draw_face

    faces = [draw_face(label, 900 + seed) for label in LABELS for seed in range(40)]
    crops = np.stack([np.asarray(face) for face in faces])[..., None]
    _check(EmotionRecognizer(trained, detector="none"), crops, "cam")
