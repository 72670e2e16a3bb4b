from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mien.detectors import Framing, get_detector
from mien.detectors.bundle import CONFIG, FOLDER, NETWORK, DetectorConfig
from mien.detectors.mien import MienDetector
from mien.errors import ConfigError, InputError, ModelError
from mien.images import decode

SAMPLE = FOLDER.parent / "sample" / "astronaut.jpg"
if not (FOLDER / NETWORK).is_file():
    pytest.skip("the detector's network is not in the package yet", allow_module_level=True)


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
    from PIL import Image

    whole = decode(SAMPLE)
    box = detector.detect(whole).boxes_xyxy[0]
    factor = side / max(whole.shape[:2])
    size = round(whole.shape[1] * factor), round(whole.shape[0] * factor)
    found = detector.detect(np.asarray(Image.fromarray(whole).resize(size, 3)), min_face=5)
    assert len(found) == 1
    assert np.allclose(found.boxes_xyxy[0] / factor, box, atol=0.12 * (box[2] - box[0]))


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
    start = time.perf_counter()
    found = detector.detect(picture)
    assert time.perf_counter() - start < 2
    assert len(found) <= 2


def test_five_hundred_faces_are_bounded(detector: MienDetector) -> None:
    face = decode(SAMPLE)[::4, ::4][:64, :64]
    crowd = np.tile(face, (25, 25, 1))
    start = time.perf_counter()
    found = detector.detect(crowd, min_face=0)
    assert time.perf_counter() - start < 3
    assert len(found) <= 1000


def test_face_cut_by_the_border_is_no_error(detector: MienDetector) -> None:
    whole = decode(SAMPLE)
    x1, y1, x2, y2 = (int(value) for value in detector.detect(whole).boxes_xyxy[0])
    for part in (whole[:, (x1 + x2) // 2 :], whole[: (y1 + y2) // 2], whole[::-1]):
        detector.detect(np.ascontiguousarray(part))


def test_options_are_kept(detector: MienDetector) -> None:
    picture = decode(SAMPLE)
    assert len(detector.detect(picture, max_faces=0)) == 0
    assert len(detector.detect(picture, min_face=5000)) == 0
    with pytest.raises(InputError):
        detector.detect(picture.astype(np.float32))
    with pytest.raises(ConfigError):
        detector.detect(picture, min_face=-1)


def test_fine_pass_finds_at_least_the_same_face() -> None:
    picture = decode(SAMPLE)
    assert len(MienDetector(threads=1, fine=True).detect(picture)) >= 1


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


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        MienDetector(tmp_path)
    shutil.copyfile(FOLDER / CONFIG, tmp_path / CONFIG)
    with pytest.raises(ModelError, match="cannot be read"):
        MienDetector(tmp_path)
    value = json.loads((FOLDER / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**value, "format": 99}))
    with pytest.raises(ModelError, match="format"):
        MienDetector(tmp_path)


def test_config_survives_json_and_refuses_nonsense() -> None:
    config = DetectorConfig(
        min_score=0.4, framing=Framing(scale=1.2, shift_y=0.1), metrics={"a": 1}
    )
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    for values in ({"min_score": 0}, {"iou": 1}, {"max_side": 8}, {"zoom": 0.5}):
        with pytest.raises(ConfigError):
            DetectorConfig(**{"min_score": 0.5, "framing": Framing(), **values})
    with pytest.raises(ConfigError, match="damaged"):
        DetectorConfig.from_dict({"format": 1})


def test_bundled_network_is_within_its_budget() -> None:
    assert (FOLDER / NETWORK).stat().st_size <= 500_000


def test_real_photos(shared: Path, detector: MienDetector) -> None:
    media = shared / "data" / "media"
    assert len(detector.detect(decode(media / "multi_face.jpg"))) == 5
    assert len(detector.detect(decode(media / "single_face.jpg"))) == 1
    assert len(detector.detect(decode(media / "free-mountain-vector-01.jpg"))) == 0
