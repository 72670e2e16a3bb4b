from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mien.errors import ConfigError, InputError
from mien.preprocess import Preprocessing, crop_faces, normalize, roll_degrees, to_batch

GRAY = Preprocessing(size=48)


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_crop_of_whole_gray_face_is_the_face_itself() -> None:
    gray = np.random.default_rng(1).integers(0, 256, (48, 48), dtype=np.uint8)
    rgb = np.repeat(gray[:, :, None], 3, axis=2)
    assert np.array_equal(crop_faces(rgb, [[0, 0, 48, 48]], GRAY)[0, :, :, 0], gray)


def test_crop_inside_picture_equals_pillow() -> None:
    image = _noise(90, 120)
    box = (10.5, 7.25, 70.5, 67.25)
    expected = Image.fromarray(image).convert("L").resize((48, 48), Image.Resampling.BILINEAR, box)
    found = crop_faces(image, [box], GRAY)[0, :, :, 0]
    # Beyond the region that is cut Pillow's filter would see one more pixel at most.
    assert np.abs(found.astype(int) - np.asarray(expected).astype(int)).max() <= 1


def test_crop_beyond_border_repeats_edge_pixels() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 0] = 200
    face = crop_faces(image, [[-40, 0, 40, 40]], Preprocessing(size=16, color="rgb"))[0]
    assert (face[:, :7] == 200).all()
    assert (face[:, 10:] == 0).all()


def test_crop_is_the_same_alone_and_among_others() -> None:
    image = _noise(100, 100)
    boxes = [[0, 0, 30, 30], [20, 20, 90, 90], [-5, -5, 60, 60]]
    together = crop_faces(image, boxes, GRAY)
    for index, box in enumerate(boxes):
        assert np.array_equal(together[index], crop_faces(image, [box], GRAY)[0])


def test_no_boxes_give_an_empty_batch() -> None:
    assert to_batch(_noise(20, 20), np.zeros((0, 4)), GRAY).shape == (0, 1, 48, 48)


def test_normalize_per_image_by_hand() -> None:
    faces = np.array([[[[0], [100]], [[200], [100]]]], np.uint8)
    std = np.sqrt((100**2 + 100**2) / 4)
    expected = np.array([[-100, 0], [100, 0]]) / (std + 10)
    assert normalize(faces, GRAY)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_normalize_flat_face_is_zero_not_nan() -> None:
    assert not normalize(np.full((1, 48, 48, 1), 77, np.uint8), GRAY).any()


def test_normalize_fixed_by_hand() -> None:
    p = Preprocessing(
        size=48, color="rgb", normalization="fixed", mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.5)
    )
    faces = np.full((1, 2, 2, 3), 255, np.uint8)
    assert normalize(faces, p)[0, :, 0, 0].tolist() == pytest.approx([1.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("image", "box", "words"),
    [
        (_noise(10, 10), [5, 5, 5, 9], "x1 < x2"),
        (_noise(10, 10), [0, 0, float("nan"), 9], "finite"),
        (_noise(10, 10), [20, 20, 30, 30], "outside"),
        (_noise(10, 10).astype(np.float32), [0, 0, 5, 5], "uint8"),
        (_noise(10, 10)[:, :, 0], [0, 0, 5, 5], r"\(H, W, 3\)"),
    ],
)
def test_impossible_crop_is_refused(image: np.ndarray, box: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        crop_faces(image, [box], GRAY)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": 4}, "8 to 1024"),
        ({"size": 48, "color": "grey"}, "gray"),
        ({"size": 48, "interpolation": "bicubc"}, "bicubic"),
        ({"size": 48, "normalization": "fixed"}, "mean and std"),
        ({"size": 48, "epsilon": 0}, "epsilon"),
        ({"sise": 48}, "size"),
        ({}, "size"),
    ],
)
def test_impossible_preprocessing_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Preprocessing.from_dict(values)


def test_round_trip() -> None:
    p = Preprocessing(size=64, color="rgb", normalization="fixed", mean=(0, 0, 0), std=(1, 1, 1))
    assert Preprocessing.from_dict(p.to_dict()) == p


def _tilted(angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with a dark face and two bright eyes, turned clockwise about (60, 60)."""
    upright = Image.new("RGB", (120, 120), (60, 60, 60))
    for x in (50, 70):
        upright.paste((255, 255, 255), (x - 3, 47, x + 3, 53))
    image = np.asarray(upright.rotate(-angle, Image.Resampling.BICUBIC, center=(60, 60)))
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = np.array([[50, 50], [70, 50], [60, 60], [53, 70], [67, 70]], float)
    return image, np.asarray(upright), ((points - 60) @ matrix + 60)[None]


@pytest.mark.parametrize("angle", [-30.0, -7.0, 12.0, 30.0])
def test_alignment_makes_a_tilted_face_level(angle: float) -> None:
    image, upright, landmarks = _tilted(angle)
    box = [[36, 36, 84, 84]]
    aligned = Preprocessing(size=48, align="eyes")
    assert roll_degrees(landmarks) == pytest.approx([angle])
    expected = crop_faces(upright, box, GRAY).astype(int)
    level = crop_faces(image, box, aligned, landmarks=landmarks)
    assert np.abs(level - expected).mean() < 2
    assert np.abs(crop_faces(image, box, GRAY) - expected).mean() > 3
    assert np.array_equal(crop_faces(image, box, aligned), crop_faces(image, box, GRAY))


def test_alignment_at_the_border_repeats_edge_pixels() -> None:
    image, _, landmarks = _tilted(20)
    aligned = Preprocessing(size=48, align="eyes")
    for box in ([-30, -30, 40, 40], [100, 100, 160, 160]):
        assert crop_faces(image, [box], aligned, landmarks=landmarks).shape == (1, 48, 48, 1)
