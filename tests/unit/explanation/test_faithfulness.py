from __future__ import annotations

import numpy as np
import pytest

from mien import ConfigError, EmotionRecognizer, InputError
from mien.explanation import Faithfulness, faithfulness
from mien.explanation.faithfulness import blurred, random_maps


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
