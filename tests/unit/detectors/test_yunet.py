"""YuNet: parity with OpenCV's own reading of the same file, sizes, threads, and bad files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mien.detectors import Detections, get_detector
from mien.detectors.yunet import YuNetDetector, decode_outputs
from mien.errors import ModelError
from mien.images import decode

if TYPE_CHECKING:
    from pathlib import Path

MEDIA = ["multi_face.jpg", "single_face.jpg", "free-mountain-vector-01.jpg"]


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "weights" / "face_detection_yunet_2026may.onnx"


@pytest.fixture(scope="module")
def detector(weights: Path) -> YuNetDetector:
    return YuNetDetector(weights, threads=1)


def read(shared: Path, name: str, max_side: int) -> np.ndarray:
    image = Image.fromarray(decode(shared / "data" / "media" / name))
    image.thumbnail((max_side, max_side))
    return np.asarray(image)


def assert_close(found: Detections, expected: Detections, pixels: float, score: float) -> None:
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=pixels)
    assert found.landmarks is not None
    assert expected.landmarks is not None
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=pixels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=score)


@pytest.mark.parametrize("max_side", [640, 333, 150])
@pytest.mark.parametrize("name", MEDIA)
def test_yunet_agrees_with_opencv(
    shared: Path, weights: Path, detector: YuNetDetector, name: str, max_side: int
) -> None:
    cv2 = pytest.importorskip("cv2")
    image_rgb = read(shared, name, max_side)
    reference = cv2.FaceDetectorYN.create(
        str(weights), "", image_rgb.shape[1::-1], score_threshold=0.7, nms_threshold=0.3
    )
    rows = reference.detect(np.ascontiguousarray(image_rgb[:, :, ::-1]))[1]
    rows = np.zeros((0, 15), np.float32) if rows is None else rows
    expected = Detections(
        np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]),
        np.clip(rows[:, 14], 0, 1),
        rows[:, 4:14].reshape(-1, 5, 2),
    )
    assert_close(detector.detect(image_rgb, min_face=0), expected, pixels=0.05, score=1e-4)
    assert len(expected) == {"multi_face.jpg": 5, "single_face.jpg": 1}.get(name, 0)


def test_yunet_maps_boxes_back_to_a_large_picture(shared: Path, detector: YuNetDetector) -> None:
    small = read(shared, "multi_face.jpg", 640)
    large = np.repeat(np.repeat(small, 3, axis=0), 3, axis=1)
    here, there = detector.detect(small), detector.detect(large)
    assert len(here) == len(there) == 5
    # It is searched in pieces there, and such large faces at another size than here.
    np.testing.assert_allclose(there.boxes_xyxy / 3, here.boxes_xyxy, atol=7)
    assert here.landmarks is not None
    assert there.landmarks is not None
    np.testing.assert_allclose(there.landmarks / 3, here.landmarks, atol=7)


def test_yunet_landmarks_are_in_order(shared: Path, detector: YuNetDetector) -> None:
    landmarks = detector.detect(read(shared, "multi_face.jpg", 640)).landmarks
    assert landmarks is not None
    for points in landmarks:
        right_eye, left_eye, nose, right_mouth, left_mouth = points
        assert right_eye[0] < left_eye[0]  # the person's right is on the picture's left
        assert right_mouth[0] < left_mouth[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_yunet_obeys_options(shared: Path, detector: YuNetDetector) -> None:
    image_rgb = read(shared, "multi_face.jpg", 640)
    everyone = detector.detect(image_rgb)
    assert len(detector.detect(image_rgb, max_faces=2)) == 2
    heights = np.sort(everyone.boxes_xyxy[:, 3] - everyone.boxes_xyxy[:, 1])
    assert len(detector.detect(image_rgb, min_face=float(heights[2]))) == 3


def test_yunet_obeys_min_score(shared: Path, weights: Path) -> None:
    image_rgb = read(shared, "multi_face.jpg", 640)
    assert len(YuNetDetector(weights, threads=1, min_score=0.999).detect(image_rgb)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (2000, 3), (64, 64)])
def test_yunet_takes_any_shape(shape: tuple[int, int], detector: YuNetDetector) -> None:
    assert len(detector.detect(np.full((*shape, 3), 90, np.uint8))) == 0


def test_yunet_gives_the_same_in_many_threads(shared: Path, detector: YuNetDetector) -> None:
    pictures = [read(shared, "multi_face.jpg", side) for side in (320, 256, 400)] * 4
    expected = [detector.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(detector.detect, pictures), expected, strict=True):
            assert_close(found, wanted, pixels=1e-3, score=1e-5)


def test_yunet_of_a_fixed_size_finds_the_same(
    shared: Path, weights: Path, detector: YuNetDetector, tmp_path: Path
) -> None:
    """The 2023mar build takes 640x640 only: smaller and larger pictures must fit in."""
    onnx = pytest.importorskip("onnx")
    network = onnx.load(weights)
    for axis in (2, 3):
        network.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 640
    onnx.save(network, tmp_path / "fixed.onnx")
    fixed = get_detector(f"yunet:{tmp_path / 'fixed.onnx'}", threads=1)
    for side in (333, 640):
        picture = read(shared, "multi_face.jpg", side)
        # Black below and right of the picture reaches into the last cells: nearly the same.
        assert_close(fixed.detect(picture), detector.detect(picture), pixels=1.0, score=0.01)
    picture = read(shared, "multi_face.jpg", 1000)  # in four tiles
    found, expected = fixed.detect(picture), detector.detect(picture)
    assert len(found) == len(expected) == 5
    for box in expected.boxes_xyxy:
        assert np.abs(found.boxes_xyxy - box).max(axis=1).min() < 10


def test_yunet_searches_a_photo_at_its_own_size(shared: Path, detector: YuNetDetector) -> None:
    small = read(shared, "multi_face.jpg", 240)
    wide = np.zeros((small.shape[0], 2400, 3), np.uint8)
    wide[:, -small.shape[1] :] = small
    assert len(detector.detect(wide)) == len(detector.detect(small)) > 0


def test_larger_yunet_is_accepted(shared: Path) -> None:
    larger = YuNetDetector(shared / "weights" / "yunet_n_dynamic.onnx", threads=1)
    assert len(larger.detect(read(shared, "multi_face.jpg", 640))) == 5


# Decoding by hand


def test_decode_outputs_by_hand() -> None:
    """One face in the cell (column 1, row 2) of the stride-16 grid of a 64x96 input."""
    grids = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) * (96 // stride)
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            grids[f"{kind}_{stride}"] = np.zeros((1, cells, width), np.float32)
    cell = 2 * 4 + 1
    grids["cls_16"][0, cell] = 0.81
    grids["obj_16"][0, cell] = 1.3  # clipped to 1
    grids["bbox_16"][0, cell] = [0.5, 0.25, np.log(2), np.log(3)]
    grids["kps_16"][0, cell] = np.arange(10) / 10
    boxes, scores, landmarks = decode_outputs(grids, 64, min_score=0.7)
    # centre (1.5, 2.25) * 16 = (24, 36), size (2, 3) * 16 = (32, 48)
    np.testing.assert_allclose(boxes, [[8, 12, 40, 60]], rtol=1e-5)
    np.testing.assert_allclose(scores, [0.9], rtol=1e-5)
    np.testing.assert_allclose(landmarks[0, 0], [16, 33.6], rtol=1e-5)
    np.testing.assert_allclose(landmarks[0, 4], [1.8 * 16, 2.9 * 16], rtol=1e-5)


# Bad files


def test_yunet_says_what_is_wrong_with_a_file(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    other = shared / "weights" / "ultraface_rfb_640.onnx"
    for path, message in (
        (tmp_path / "none.onnx", "is not a file.*Check the path after 'yunet:'"),
        (tmp_path, "is not a file"),
        (tmp_path / "text.onnx", "cannot be opened by ONNX Runtime: it is text"),
        (other, "is not a YuNet: it lacks the outputs bbox_16"),
    ):
        with pytest.raises(ModelError, match=message):
            get_detector(f"yunet:{path}")
