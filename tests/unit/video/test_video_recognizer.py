from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien import DetectorError, EmotionRecognizer, InputError
from mien.arrays import U8
from mien.detectors import Detections
from mien.quality import QUALITY_FLAGS
from mien.video import (
    Tracker,
    VideoConfig,
    VideoRecognizer,
    predict_video,
    read_video,
)
from support.clips import ColorFaces, crossing, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", crossing(40))


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(detector=ColorFaces(), threads=1)


def test_frames_carry_prediction_sets_and_quality_flags(
    clip: Path, recognizer: EmotionRecognizer
) -> None:
    frames = list(predict_video(clip, recognizer=recognizer))
    assert len(frames) == 40
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(40)])
    faces = [face for frame in frames for face in frame.result.faces]
    assert faces
    thresholds = recognizer.config.conformal
    assert thresholds is not None
    for face in faces:
        probs = np.array([list(face.probs.values())])
        labels = np.array(recognizer.labels)
        held = labels[thresholds.prediction_sets(probs)[0]]
        assert face.prediction_set == tuple(held), "that of the smoothed probabilities"
        assert set(face.quality_flags) <= set(QUALITY_FLAGS)
        assert face.uncertain == (
            face.prediction_set != (face.emotion,) or face.quality_flags != ()
        )
    assert {face.track_id for face in faces} == {1, 2}


def test_small_face_is_flagged_between_detections_too(recognizer: EmotionRecognizer) -> None:
    video = VideoRecognizer(recognizer, VideoConfig(detect_every=3, confirm=1, min_face=8), fps=25)
    frame = np.full((90, 160, 3), 10, np.uint8)
    frame[30:50, 60:80] = (200, 40, 40)
    for step in range(3):
        [tracked] = video.read(frame, step / 25)
        assert "small" in tracked.face.quality_flags
        assert "flat" in tracked.face.quality_flags
    [shown] = video.between(3 / 25)
    assert shown.quality_flags == tracked.face.quality_flags
    assert shown.prediction_set == tracked.face.prediction_set


def test_answers_in_other_labels_keep_the_models_own_sets(recognizer: EmotionRecognizer) -> None:
    three = recognizer.variant(labels="hes3")
    frame = next(iter(crossing(1)))
    config = VideoConfig(confirm=1)
    seen = VideoRecognizer(three, config).read(frame, 0.0)
    alone = three.predict(frame).faces
    assert len(seen) == len(alone) == 2
    for tracked in seen:
        [same] = [one for one in alone if one.box_xyxy == tracked.face.box_xyxy]
        assert tracked.face.prediction_set == same.prediction_set
        assert tracked.face.probs == pytest.approx(same.probs)


def test_timeline_and_summary_say_how_often_an_answer_was_uncertain(
    clip: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    config = VideoConfig(annotate=False, picture=False)
    result = read_video(clip, tmp_path / "out", recognizer=recognizer, config=config)
    with result.files["timeline.csv"].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["uncertain"] for row in rows} <= {"0", "1"}
    for track in result.summary.tracks:
        mine = [row for row in rows if row["track_id"] == str(track.track_id)]
        share = np.mean([row["uncertain"] == "1" for row in mine])
        assert track.uncertain == pytest.approx(share, abs=0.02)
        words = {word for row in mine for word in row["quality_flags"].split()}
        assert set(track.quality_flags) == words
        assert all(0 < value <= 1 for value in track.quality_flags.values())
    printed = json.loads(result.files["summary.json"].read_text())
    assert printed["tracks"][0]["quality_flags"] == result.summary.tracks[0].quality_flags
    table = pytest.importorskip("pyarrow.parquet").read_table(result.files["timeline.parquet"])
    assert table["uncertain"].to_pylist() == [int(row["uncertain"]) for row in rows]
    assert table["quality_flags"].to_pylist() == [row["quality_flags"].split() for row in rows]
    assert any(table["quality_flags"].to_pylist())


def test_frame_that_is_no_picture_is_refused(recognizer: EmotionRecognizer) -> None:
    with pytest.raises(InputError, match="uint8"):
        VideoRecognizer(recognizer).read(np.zeros((4, 4)), 0.0)  # type: ignore[arg-type]


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


def test_tracker_says_from_which_score_on_it_takes_detections() -> None:
    class Scored(ColorFaces):
        min_score = 0.5

        def with_min_score(self, min_score: float) -> Scored:
            other = Scored()
            other.min_score = min_score
            return other

    recognizer = EmotionRecognizer(detector=Scored(), threads=1)
    sure = VideoRecognizer(recognizer, tracker=LeftToRight(320))
    assert sure.recognizer.pipeline.detector.min_score == 0.5
    assert VideoRecognizer(recognizer).recognizer.pipeline.detector.min_score == pytest.approx(0.3)


class Failing(ColorFaces):
    """Fails on some of the pictures that it is given, counted from 0."""

    def __init__(self, *failing: int) -> None:
        self.failing, self.count = failing, -1

    def detect(
        self, image_rgb: U8, *, min_face: float = 20.0, max_faces: int | None = None
    ) -> Detections:
        self.count += 1
        if self.count in self.failing:
            raise RuntimeError("out of memory")
        return super().detect(image_rgb, min_face=min_face, max_faces=max_faces)


def test_a_detector_that_fails_on_some_frames_ends_no_clip(clip: Path, tmp_path: Path) -> None:
    whole = EmotionRecognizer(detector=ColorFaces(), threads=1)
    recognizer = EmotionRecognizer(detector=Failing(7, 20, 21), threads=1)
    config = VideoConfig(annotate=False, picture=False, detect_every=1)
    result = read_video(clip, tmp_path / "a", recognizer=recognizer, config=config)
    expected = read_video(clip, tmp_path / "b", recognizer=whole, config=config).summary
    assert result.summary.frames_failed == 3
    assert result.summary.frames_read == expected.frames_read == 40
    (warning,) = result.warnings
    assert (warning.code, warning.is_fault) == ("detector", True)
    text = str(warning)
    assert text.startswith("the detector failed on 3 of 40 frames that were searched: ")
    assert "out of memory" in text
    assert [t.track_id for t in result.summary.tracks] == [t.track_id for t in expected.tracks]
    for track, other in zip(result.summary.tracks, expected.tracks, strict=True):
        assert track.frames == other.frames, "faces moved on while the detector failed"
    assert expected.frames_failed == 0


def test_predict_video_says_that_a_clip_is_not_whole(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recognizer = EmotionRecognizer(detector=ColorFaces(), threads=1)
    assert len(list(predict_video(clip, recognizer=recognizer))) == 40
    assert not caplog.records
    path = write_clip(tmp_path / "a.mkv", crossing(12))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert list(predict_video(path, recognizer=recognizer))
    assert "a.mkv: the clip is not whole" in caplog.text


def test_predict_video_goes_on_after_a_detector_failed(clip: Path) -> None:
    recognizer = EmotionRecognizer(detector=Failing(0, 1, 30), threads=1)
    frames = list(predict_video(clip, recognizer=recognizer))
    assert len(frames) == 40
    assert frames[-1].result.faces


def test_a_detector_that_always_fails_is_an_error(clip: Path, tmp_path: Path) -> None:
    recognizer = EmotionRecognizer(detector=Failing(*range(99)), threads=1)
    with pytest.raises(DetectorError, match="out of memory"):
        list(predict_video(clip, recognizer=recognizer))
    assert recognizer.pipeline.detector.count == 7  # type: ignore[attr-defined]
    short = write_clip(tmp_path / "short.mp4", crossing(3))
    recognizer = EmotionRecognizer(detector=Failing(*range(99)), threads=1)
    with pytest.raises(DetectorError, match="out of memory"):
        read_video(short, tmp_path / "out", recognizer=recognizer)


def test_failures_are_counted_over_a_stop(recognizer: EmotionRecognizer) -> None:
    failing = EmotionRecognizer(detector=Failing(1), threads=1)
    video = VideoRecognizer(failing, VideoConfig(detect_every=1))
    for step, frame in enumerate(crossing(3)):
        video.read(frame, step / 25)
    other = VideoRecognizer(recognizer)
    other.restore(json.loads(json.dumps(video.to_state())))
    assert (other.searched, other.failed) == (3, 1)
    assert "out of memory" in other.fault
