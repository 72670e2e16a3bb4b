from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien import EmotionRecognizer
from mien.video import (
    KalmanTracker,
    Tracker,
    VideoConfig,
    read_video,
)
from support.clips import ColorFaces, crossing, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", crossing(40))


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(detector=ColorFaces(), threads=1)


class LeftToRight(Tracker):
    """Numbers faces by where they are: 1 on the left half, 2 on the right."""

    name = "halves"

    def __init__(self, width: int) -> None:
        self._width = width
        self._boxes: dict[int, np.ndarray] = {}
        self.scores: list[float] = []

    def update(
        self,
        boxes_xyxy: np.ndarray,
        scores: np.ndarray,
        time_s: float,
        *,
        appearance: np.ndarray | None = None,
    ) -> list[tuple[int, int]]:
        del time_s
        assert appearance is not None
        assert len(appearance) == len(boxes_xyxy)
        self.scores += scores.tolist()
        numbers = 1 + (boxes_xyxy[:, [0, 2]].mean(axis=1) > self._width / 2).astype(int)
        self._boxes = dict(zip(numbers.tolist(), boxes_xyxy.astype(np.float64), strict=True))
        return [(number, row) for row, number in enumerate(numbers.tolist())]

    def visible(self, time_s: float) -> list[tuple[int, np.ndarray]]:
        del time_s
        return list(self._boxes.items())

    def end_all(self) -> None:
        self._boxes = {}

    def to_state(self) -> dict[str, Any]:
        return {str(number): box.tolist() for number, box in self._boxes.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._boxes = {int(number): np.array(box) for number, box in state.items()}


def test_own_tracker_numbers_the_faces_and_stopped_runs_go_on_with_it(
    clip: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    config = VideoConfig(annotate=False, picture=False, segment_s=0.4)

    def run(folder: str, tracker: Tracker, stop_at: int = 0) -> bytes:
        def stop(frame: int, _: int | None) -> None:
            if frame == stop_at:
                raise KeyboardInterrupt

        result = read_video(
            clip, tmp_path / folder, recognizer=recognizer, config=config, tracker=tracker,
            progress=stop,
        )  # fmt: skip
        return result.files["timeline.csv"].read_bytes()

    whole = run("whole", LeftToRight(320))
    with pytest.raises(KeyboardInterrupt):
        run("parts", LeftToRight(320), stop_at=25)
    with pytest.raises(Exception, match="another clip, model or setting"):
        run("parts", KalmanTracker())
    assert run("parts", LeftToRight(320)) == whole
    rows = list(csv.DictReader(whole.decode().splitlines()))
    for row in rows:
        if row["detected"] == "1":
            middle = (float(row["x1"]) + float(row["x2"])) / 2
            assert row["track_id"] == str(1 + (middle > 160))
