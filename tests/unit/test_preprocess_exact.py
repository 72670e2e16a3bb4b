"""Crops and their normalisation against a slow reading of the same words."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ConfigError, InputError
from mien.preprocess import (
    ALIGNMENTS,
    COLORS,
    INTERPOLATIONS,
    NORMALIZATIONS,
    Preprocessing,
    crop_faces,
    normalize,
    recolor,
    roll_degrees,
    to_batch,
    whole_box,
)


def _picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(
    st.integers(0, 99),
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.tuples(st.floats(-9, 30), st.floats(-9, 30), st.floats(2, 40), st.floats(2, 40)),
    st.sampled_from(["gray", "rgb"]),
    st.sampled_from(sorted(INTERPOLATIONS)),
)
def test_a_crop_is_that_of_the_picture_with_its_border_repeated(
    seed: int,
    shape: tuple[int, int],
    box: tuple[float, float, float, float],
    color: str,
    interpolation: str,
) -> None:
    picture = _picture(seed, *shape)
    x1, y1, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    setting = Preprocessing(8, color, interpolation)
    if x2 <= 0 or y2 <= 0 or x1 >= shape[1] or y1 >= shape[0]:
        with pytest.raises(InputError, match=f"outside the {shape[1]}x{shape[0]} picture"):
            crop_faces(picture, [[x1, y1, x2, y2]], setting)
        return
    found = crop_faces(picture, [[x1, y1, x2, y2]], setting)
    assert found.shape == (1, 8, 8, {"gray": 1, "rgb": 3}[color])
    assert found.dtype == np.uint8
    pad = 60
    wide = Image.fromarray(np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    # The same part of pixels: a pixel more than the box touches, where the picture goes on.
    left, top = math.floor(x1) - (math.floor(x1) > 0), math.floor(y1) - (math.floor(y1) > 0)
    right = math.ceil(x2) + (math.ceil(x2) < shape[1])
    bottom = math.ceil(y2) + (math.ceil(y2) < shape[0])
    part = wide.crop((left + pad, top + pad, right + pad, bottom + pad))
    expected = part.convert("L" if color == "gray" else "RGB").resize(
        (8, 8), INTERPOLATIONS[interpolation], box=(x1 - left, y1 - top, x2 - left, y2 - top)
    )
    assert np.array_equal(found[0], np.asarray(expected).reshape(8, 8, -1))


@given(st.integers(0, 99), st.sampled_from(["gray", "rgb"]), st.booleans())
def test_a_picture_of_pil_is_cut_like_its_pixels(seed: int, color: str, level: bool) -> None:
    pixels, setting = _picture(seed, 30, 40), Preprocessing(8, color, align="eyes")
    boxes: list[list[float]] = [
        [3.2, 4.1, 20.7, 25.5],
        [-6.5, 2, 12, 41.5],
        [25, -9, 52.3, 18],
        [0, 0, 40, 30],
    ]
    points = np.random.default_rng(seed).uniform(0, 30, (4, 5, 2)) if level else None
    expected = crop_faces(pixels, boxes, setting, landmarks=points)
    found = crop_faces(Image.fromarray(pixels), boxes, setting, landmarks=points)
    assert np.array_equal(found, expected)
    found[...] = 0  # nobody else's


def test_a_picture_of_another_mode_is_refused() -> None:
    with pytest.raises(InputError, match="from RGB pictures; got mode L"):
        crop_faces(Image.new("L", (40, 40)), [[0, 0, 9, 9]], Preprocessing(size=8))


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 30), (21, 48)])
def test_a_tall_or_wide_picture_is_cut_to_its_middle_square(width: int, height: int) -> None:
    picture = _picture(0, height, width)
    side = min(width, height)
    setting = Preprocessing(size=side, color="rgb")
    left, top = (width - side) / 2, (height - side) / 2
    found = crop_faces(picture, [whole_box(width, height)], setting)[0]
    if (width - side) % 2 == 0 and (height - side) % 2 == 0:
        middle = picture[int(top) : int(top) + side, int(left) : int(left) + side]
        assert np.array_equal(found, middle)
    assert whole_box(width, height) == (left, top, left + side, top + side)


def test_boxes_that_only_touch_the_picture_are_refused() -> None:
    picture, setting = _picture(0, 10, 20), Preprocessing(size=8)
    box: Any
    for box in ([-5, 0, 0, 5], [0, -5, 5, 0], [20, 0, 25, 5], [0, 10, 5, 15]):
        with pytest.raises(InputError, match="outside the 20x10 picture"):
            crop_faces(picture, [box], setting)
    for box in ([-5, 0, 0.5, 5], [0, -5, 5, 0.5], [19.5, 0, 25, 5], [0, 9.5, 5, 15]):
        assert crop_faces(picture, [box], setting).shape == (1, 8, 8, 1)
    for box in ([5, 5, 5, 9], [5, 5, 9, 5], [9, 5, 5, 9], [0, 0, math.inf, 5]):
        with pytest.raises(InputError, match="must be finite with x1 < x2 and y1 < y2"):
            crop_faces(picture, [box], setting)


@given(st.integers(0, 99), st.sampled_from(["gray", "rgb"]), st.floats(0.5, 20))
def test_normalisation_is_its_formula(seed: int, color: str, epsilon: float) -> None:
    faces = np.random.default_rng(seed).integers(0, 256, (3, 5, 5, COLORS[color])).astype(np.uint8)
    setting = Preprocessing(size=8, color=color, epsilon=epsilon)
    found = normalize(faces, setting)
    assert found.shape == (3, COLORS[color], 5, 5)
    assert found.dtype == np.float32
    assert found.flags["C_CONTIGUOUS"]
    for face, one in zip(faces.astype(float), found, strict=True):
        expected = (face - face.mean()) / (face.std() + epsilon)
        assert one.transpose(1, 2, 0) == pytest.approx(expected, abs=1e-5)
    mean, std = (0.2, 0.4, 0.6)[: COLORS[color]], (0.1, 0.2, 0.3)[: COLORS[color]]
    fixed = Preprocessing(size=8, color=color, normalization="fixed", mean=mean, std=std)
    expected = (faces / 255 - np.array(mean)) / np.array(std)
    assert normalize(faces, fixed).transpose(0, 2, 3, 1) == pytest.approx(expected, abs=1e-4)
    assert normalize(faces.astype(np.float32), fixed) == pytest.approx(normalize(faces, fixed))


def test_normalising_leaves_the_faces_alone() -> None:
    faces = np.full((1, 5, 5, 1), 7, np.float32)
    normalize(faces, Preprocessing(size=8))
    assert (faces == 7).all()


@pytest.mark.parametrize("shape", [(1, 5, 5), (1, 5, 5, 3), (5, 5, 1, 1, 1)])
def test_faces_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected faces \(N, S, S, 1\)"):
        normalize(np.zeros(shape, np.uint8), Preprocessing(size=8))


@given(st.integers(0, 99), st.integers(0, 3))
def test_recoloured_faces_are_those_that_would_be_cut(seed: int, count: int) -> None:
    faces = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    gray, rgb = Preprocessing(size=8), Preprocessing(size=8, color="rgb")
    assert recolor(faces, rgb) is faces
    if count:
        expected = [crop_faces(face, [[0, 0, 8, 8]], gray)[0] for face in faces]
        assert np.array_equal(recolor(faces, gray), expected)


@given(st.floats(-179, 179), st.floats(1, 50))
def test_the_roll_is_the_angle_of_the_eyes(angle: float, apart: float) -> None:
    turn = math.radians(angle)
    eyes = [[30, 40], [30 + apart * math.cos(turn), 40 + apart * math.sin(turn)]]
    points = np.array([[*eyes, [1, 2], [3, 4], [5, 6]]])
    assert roll_degrees(points) == pytest.approx([angle])
    assert roll_degrees(points).shape == (1,)


def test_eyes_that_coincide_do_not_turn() -> None:
    assert roll_degrees(np.ones((2, 5, 2))).tolist() == [0, 0]


def test_a_quarter_turn_is_exact() -> None:
    picture = _picture(3, 41, 41)
    setting = Preprocessing(size=21, color="rgb", align="eyes")
    points = np.zeros((1, 5, 2))
    points[0, :2] = [20.5, 15], [20.5, 25]  # the left eye below the right one: 90 degrees
    found = crop_faces(picture, [[10, 10, 31, 31]], setting, landmarks=points)[0]
    assert np.array_equal(found, np.rot90(picture[10:31, 10:31]))
    upright = crop_faces(picture, [[10, 10, 31, 31]], setting)[0]
    assert np.array_equal(upright, picture[10:31, 10:31])
    # At the border, and the box not in the middle of the picture: its pixels are repeated.
    corner = crop_faces(picture, [[-10, 0, 11, 21]], setting, landmarks=points)[0]
    wide = np.pad(picture, ((30, 30), (30, 30), (0, 0)), mode="edge")
    assert np.array_equal(corner, np.rot90(wide[30:51, 20:41]))


def test_turning_shows_what_lies_around_the_box() -> None:
    """At 45 degrees, the corners of the crop come from beyond the box: no black of Pillow's."""
    picture = np.full((100, 100, 3), 200, np.uint8)
    setting = Preprocessing(size=24, align="eyes")
    points = np.zeros((1, 5, 2))
    points[0, 1] = 10, 10
    for box in ([30, 30, 70, 70], [0, 0, 40, 40], [30.5, 30.5, 36.5, 36.5], [20, 40, 80, 60]):
        found = crop_faces(picture, [box], setting, landmarks=points)
        assert (found == 200).all(), box


def test_a_box_that_is_not_finite_is_refused_when_turned_too() -> None:
    setting, points = Preprocessing(size=24, align="eyes"), np.zeros((1, 5, 2))
    points[0, 1] = 10, 10
    with pytest.raises(InputError, match="must be finite"):
        crop_faces(_picture(0, 30, 30), [[0, 0, math.nan, 9]], setting, landmarks=points)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": 7}, "from 8 to 1024; got 7"),
        ({"size": 1025}, "from 8 to 1024; got 1025"),
        ({"size": 48.0}, "must be an integer"),
        ({"size": 48, "align": "eye"}, "'eye'.*Did you mean 'eyes'"),
        ({"size": 48, "epsilon": -1}, "epsilon must be above 0; got -1"),
        ({"size": 48, "epsilon": math.nan}, "epsilon must be above 0"),
        ({"size": 48, "normalization": "fixed", "mean": [0.5], "std": [0]}, r"std above 0"),
        ({"size": 48, "normalization": "fixed", "mean": [0.5], "std": [1, 1]}, "1 mean and std"),
        ({"size": 48, "normalization": "fixed", "mean": [0, 0, 0], "std": [1, 1, 1]}, "gray faces"),
        ({"size": 48, "normalization": "fixed", "mean": [], "std": [1]}, "1 mean and std"),
    ],
)
def test_settings_say_what_is_wrong(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Preprocessing.from_dict(values)


def test_settings_have_their_defaults_and_limits() -> None:
    assert Preprocessing(8).to_dict() == {
        "size": 8, "color": "gray", "interpolation": "bilinear", "normalization": "per_image",
        "epsilon": 10.0, "mean": [], "std": [], "align": "none",
    }  # fmt: skip
    assert Preprocessing(1024, "rgb").channels == 3
    # What a normalisation does not use may be anything.
    assert Preprocessing(8, mean=(1,), std=(0,)).mean == (1.0,)
    Preprocessing(8, normalization="fixed", epsilon=0, mean=(0,), std=(1,))
    assert (ALIGNMENTS, NORMALIZATIONS) == (("none", "eyes"), ("per_image", "fixed"))
    with pytest.raises(FrozenInstanceError):
        Preprocessing(8).size = 9  # type: ignore[misc]


def test_a_batch_is_crops_that_are_normalised() -> None:
    picture, setting = _picture(5, 30, 40), Preprocessing(size=12, color="rgb")
    boxes: Any = [[0, 0, 20, 20], [10, 5, 35, 30]]
    expected = normalize(crop_faces(picture, boxes, setting), setting)
    assert np.array_equal(to_batch(picture, boxes, setting), expected)
