"""Results for Roboflow's ``supervision``, whose annotators and trackers take them (an extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from mien.results.records import ImageResult


def to_supervision(result: ImageResult) -> Any:
    """Returns a result's N faces as ``supervision.Detections``; see ``ImageResult``'s method."""
    try:
        import supervision
    except ImportError as error:
        raise MissingExtraError("supervision.Detections", "supervision", error.name) from error
    faces = result.faces
    if not faces:
        return supervision.Detections.empty()
    numbers = [face.track_id for face in faces]
    return supervision.Detections(
        xyxy=np.array([face.box_xyxy for face in faces], np.float32),
        confidence=np.array([face.confidence for face in faces], np.float32),
        class_id=np.array([list(face.probs).index(face.emotion) for face in faces]),
        tracker_id=None if None in numbers else np.array(numbers),
        data={
            "class_name": np.array([face.emotion for face in faces]),
            "detection_score": np.array([face.detection_score for face in faces], np.float32),
            "uncertain": np.array([face.uncertain for face in faces]),
        },
    )
