"""The bundled detector, from pixels to faces."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.detectors import Framing, get_detector
from mien.detectors.bundle import (
    CONFIG,
    FOLDER,
    LANDMARKS,
    NETWORK,
    REFINER,
    Calibration,
    DetectorConfig,
)
from mien.detectors.mien import MienDetector
from mien.detectors.scales import ScaleRules
from mien.errors import ConfigError, InputError, ModelError
from mien.images import decode

SAMPLE = FOLDER.parent / "sample" / "astronaut.jpg"


@pytest.fixture(scope="module")
def detector() -> MienDetector:
    return MienDetector(threads=1)


def test_it_is_a_detector(detector: MienDetector) -> None:
    assert get_detector(detector) is detector
    assert detector.name == "mien"


def test_astronaut_is_found_with_landmarks_in_order(detector: MienDetector) -> None:
    found = detector.detect(decode(SAMPLE))
    assert len(found) == 1
    (x1, y1, x2, y2), points = found.boxes_xyxy[0], found.landmarks
    assert points is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = points[0]
    assert x1 < right_eye[0] < nose[0] < left_eye[0] < x2
    assert y1 < right_eye[1] < nose[1] < right_mouth[1] < y2
    assert right_mouth[0] < left_mouth[0]


@pytest.mark.parametrize("side", [128, 160, 1500, 3000])
def test_size_of_the_photo_does_not_matter(detector: MienDetector, side: int) -> None:
    whole = decode(SAMPLE)
    box = detector.detect(whole).boxes_xyxy[0]
    factor = side / max(whole.shape[:2])
    size = round(whole.shape[1] * factor), round(whole.shape[0] * factor)
    found = detector.detect(np.asarray(Image.fromarray(whole).resize(size, 3)), min_face=5)
    # Of the photo enlarged sixfold, a patch on the suit may count as a face, with less confidence.
    assert (found.scores >= 0.8).tolist() == [True] + [False] * (len(found) - 1)
    assert len(found) == 1 or side > 2 * max(whole.shape[:2])
    # The face is 24 pixels wide in the smallest one: 3 or 4 of them are a seventh.
    share = 0.15 if side == 128 else 0.12
    assert np.allclose(found.boxes_xyxy[0] / factor, box, atol=share * (box[2] - box[0]))


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 20_000), (20_000, 1), (3, 5), (31, 33), (2000, 2), (480, 640)]
)
@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_hostile_pictures_are_answered_in_bounded_time(
    detector: MienDetector, shape: tuple[int, int], kind: str
) -> None:
    rng = np.random.default_rng(0)
    picture = np.full((*shape, 3), 255 if kind == "white" else 0, np.uint8)
    if kind == "noise":
        picture = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    start = time.process_time()
    found = detector.detect(picture)
    assert time.process_time() - start < 2
    assert len(found) <= 2


def test_a_thousand_faces_are_bounded(detector: MienDetector) -> None:
    face = decode(SAMPLE)[::4, ::4][:40, 30:70]
    crowd = np.tile(face, (25, 40, 1))
    start = time.process_time()
    found = detector.detect(crowd, min_face=0)
    assert time.process_time() - start < 10
    assert len(found) <= 1500


def test_small_face_far_away_in_a_large_photo_is_found(detector: MienDetector) -> None:
    whole = Image.fromarray(decode(SAMPLE))
    small = np.asarray(whole.resize((128, 128), Image.Resampling.BOX))
    photo = np.full((1400, 1900, 3), 90, np.uint8)
    photo[1200:1328, 1700:1828] = small
    found = detector.detect(photo)
    assert len(found) == 1
    assert found.warnings == ()


def test_face_cut_by_the_border_is_no_error(detector: MienDetector) -> None:
    whole = decode(SAMPLE)
    x1, y1, x2, y2 = (int(value) for value in detector.detect(whole).boxes_xyxy[0])
    for part in (whole[:, (x1 + x2) // 2 :], whole[: (y1 + y2) // 2], whole[::-1]):
        detector.detect(np.ascontiguousarray(part))


def test_options_are_kept(detector: MienDetector) -> None:
    picture = decode(SAMPLE)
    assert len(detector.detect(picture, max_faces=0)) == 0
    assert len(detector.detect(picture, min_face=5000)) == 0
    assert len(detector.detect(np.tile(picture, (1, 2, 1)), max_faces=1)) == 1
    with pytest.raises(InputError):
        detector.detect(picture.astype(np.float32))
    with pytest.raises(ConfigError):
        detector.detect(picture, min_face=-1)


def test_other_lowest_score(detector: MienDetector) -> None:
    picture = decode(SAMPLE)
    score = float(detector.detect(picture).scores[0])
    strict = detector.with_min_score(score + 1e-4)
    assert len(strict.detect(picture)) == 0
    assert detector.min_score == detector.config.min_score
    assert strict.fingerprint != detector.fingerprint
    assert len(detector.with_min_score(0.01).detect(picture)) >= 1


def test_fast_and_full_are_typed_and_find_the_same_face() -> None:
    picture = decode(SAMPLE)
    for word in ("fast", "full"):
        other = get_detector(f"mien:{word}", threads=1)
        assert other.name == f"mien:{word}"
        assert len(other.detect(picture)) == 1
    assert get_detector("mien:0.3").min_score == 0.3
    for wrong in ("mien:fine", "mien:2", "mien:"):
        with pytest.raises(ConfigError, match=r"mien:fast, mien:full or mien:SCORE"):
            get_detector(wrong)


def test_photo_too_large_for_its_small_faces_says_so(detector: MienDetector) -> None:
    photo = np.zeros((1920, 2880, 3), np.uint8)
    photo[:512, :512] = decode(SAMPLE)
    found = detector.detect(photo, min_face=5)
    assert len(found) == 1
    assert "mien:full" in found.warnings[0]
    assert detector.detect(photo, min_face=60).warnings == ()
    assert found.keep(max_faces=0).warnings == found.warnings


def test_warning_reaches_the_result() -> None:
    from mien import EmotionRecognizer

    photo = np.zeros((1500, 2100, 3), np.uint8)
    result = EmotionRecognizer(min_face=5).predict(photo)
    assert len(result.warnings) == 1
    assert "mien:full" in result.to_dict()["warnings"][0]


def test_threads_share_one_detector(detector: MienDetector) -> None:
    picture = decode(SAMPLE)
    expected = detector.detect(picture).boxes_xyxy
    results: list[np.ndarray] = []

    def work() -> None:
        results.extend(detector.detect(picture).boxes_xyxy for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    assert all(np.array_equal(result, expected) for result in results)


def test_one_thread_gives_the_same(detector: MienDetector) -> None:
    picture = decode(SAMPLE)
    alone = MienDetector(threads=2).single_threaded()
    found = alone.detect(picture).boxes_xyxy
    assert np.allclose(found, detector.detect(picture).boxes_xyxy, atol=0.01)


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        MienDetector(tmp_path)
    shutil.copyfile(FOLDER / CONFIG, tmp_path / CONFIG)
    with pytest.raises(ModelError, match="cannot be read"):
        MienDetector(tmp_path)
    value = json.loads((FOLDER / CONFIG).read_text())
    for name in (NETWORK, REFINER, LANDMARKS):
        shutil.copyfile(FOLDER / name, tmp_path / name)
    (tmp_path / CONFIG).write_text(json.dumps({**value, "crop_size": 32}))
    with pytest.raises(ModelError, match="not the part"):
        MienDetector(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({**value, "sha256": {}}))
    shutil.copyfile(tmp_path / REFINER, tmp_path / NETWORK)
    with pytest.raises(ModelError, match="is not mien's detector"):
        MienDetector(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({**value, "format": 99}))
    with pytest.raises(ModelError, match="format"):
        MienDetector(tmp_path)


def test_changed_network_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "detector")
    (folder / REFINER).write_bytes((folder / REFINER).read_bytes()[:-9])
    with pytest.raises(ModelError, match="damaged or was changed"):
        MienDetector(folder)


def test_config_survives_json_and_refuses_nonsense() -> None:
    calibration = Calibration(0.5, 1.2, -0.3)
    config = DetectorConfig(
        0.4, Framing(scale=1.2, shift_y=0.1), calibration, ScaleRules(tile=640), metrics={"a": 1}
    )
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    wrong: list[dict[str, Any]] = [
        {"min_score": 0}, {"iou": 1}, {"context": 0.5}, {"propose": float("nan")},
        {"mark_context": 9}, {"marked": 1.5},
    ]  # fmt: skip
    for values in wrong:
        with pytest.raises(ConfigError):
            DetectorConfig(
                **{"min_score": 0.5, "framing": Framing(), "calibration": calibration, **values}
            )
    with pytest.raises(ConfigError, match="damaged"):
        DetectorConfig.from_dict({"format": 4})


def test_bundled_networks_are_within_their_budget() -> None:
    assert (
        sum((FOLDER / name).stat().st_size for name in (LANDMARKS, NETWORK, REFINER)) <= 1_000_000
    )


def test_real_photos(shared: Path, detector: MienDetector) -> None:
    media = shared / "data" / "media"
    assert len(detector.detect(decode(media / "multi_face.jpg"))) == 5
    assert len(detector.detect(decode(media / "single_face.jpg"))) == 1
    assert len(detector.detect(decode(media / "free-mountain-vector-01.jpg"))) == 0
