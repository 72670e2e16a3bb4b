"""The page's scripts, run by Node, against the Python functions that they repeat."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.conformal import ConformalThresholds
from mien.hub import read_model_folder
from mien.quality import QualityBounds, face_quality, warning
from mien.results import FaceEmotion
from mien.web.settings import page_settings
from support.web_scripts import _raster


def test_prediction_sets_and_quality_flags_agree(call: Any) -> None:
    rng = np.random.default_rng(3)
    conformal = ConformalThresholds(coverage=0.9, thresholds=(0.3, 0.3, 0.4), faces=99)
    bounds = QualityBounds(min_side=24, min_light=60, min_contrast=20, min_sharpness=0.5)
    parts = {"conformal": conformal.to_dict(), "quality": bounds.to_dict()}
    labels, words = ["a", "b", "c"], page_settings(read_model_folder())["quality_flags"]
    for channels, level in ((1, 255), (3, 255), (1, 40), (3, 12)):
        crop = rng.integers(0, level, (16, 16, channels), dtype=np.uint8)
        probs, box = rng.dirichlet(np.ones(3)), [3.0, 3.0, 3.0 + rng.uniform(10, 40), 20.0]
        side = np.array([max(box[2] - box[0], box[3] - box[1])])
        (row,) = conformal.prediction_sets(probs[None])
        plausible = [label for label, kept in zip(labels, row, strict=True) if kept]
        emotion = labels[int(probs.argmax())]
        (flags,) = bounds.assess(crop[None], side, ambiguous=np.array([plausible != [emotion]]))
        [answer, quality] = call(
            ["assess", words, parts, labels, probs.tolist(), box, _raster(crop)],
            ["faceQuality", _raster(crop)],
        )
        assert answer == {"prediction_set": plausible, "quality_flags": list(flags)}
        found = [quality[name] for name in ("light", "contrast", "sharpness")]
        np.testing.assert_allclose(found, np.concatenate(face_quality(crop[None])), rtol=1e-9)
        given = {"box": box, "score": 0.5, "points": None}
        [face] = call(["toFace", given, labels, probs.tolist(), answer])
        expected = FaceEmotion.from_probs(
            labels, probs, box_xyxy=box, detection_score=0.5, **answer
        ).to_dict()
        assert face == expected
        assert list(face) == list(expected)
        [said] = call(["warning", words, face])
        assert said.lower().rstrip(".") == warning(emotion, plausible, flags)
    # A set that is not exactly the answer is ambiguous, also where it holds one label.
    sharp = {"conformal": {**parts["conformal"], "thresholds": [0.7, 0.3, 0.4]}}
    [other] = call(["assess", words, sharp, labels, [0.6, 0.4, 0], [0, 0, 9, 9], _raster(crop)])
    assert other == {"prediction_set": ["b"], "quality_flags": ["ambiguous"]}
    [none] = call(["assess", words, {}, labels, [1, 0, 0], [0, 0, 9, 9], _raster(crop)])
    assert none == {"prediction_set": None, "quality_flags": []}
