"""Faces that are no squares: everything cuts the same part out of the middle."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien import EmotionRecognizer
from mien.data import FileImages, Manifest
from mien.data.faces import load_faces
from mien.labels import FERPLUS8
from mien.preprocess import crop_faces, whole_box
from support.faces import draw_face

_SHAPES = [(48, 80), (80, 48), (61, 48), (30, 31), (200, 100)]


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(detector="none", threads=1)


def _pictures() -> list[NDArray[np.uint8]]:
    """A face in the middle of noise that fills the rest of the longer side."""
    rng = np.random.default_rng(0)
    pictures = []
    for seed, (height, width) in enumerate(_SHAPES):
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        side = min(height, width)
        face = np.asarray(draw_face("happiness", seed, side).convert("RGB"))
        top, left = (height - side) // 2, (width - side) // 2
        picture[top : top + side, left : left + side] = face
        pictures.append(picture)
    return pictures


def test_every_way_cuts_the_same_crop(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    pictures, names = _pictures(), []
    for index, picture in enumerate(pictures):
        names.append(f"{index}.png")
        Image.fromarray(picture).save(tmp_path / names[-1])
    n = len(names)
    manifest = Manifest(
        "by hand", FERPLUS8, FileImages(tmp_path, tuple(names)),
        np.eye(8, dtype=np.float32)[[1] * n],
        np.ones(n, int), np.full(n, "valid"), None, np.zeros(n, bool),
    )  # fmt: skip
    p = recognizer.config.preprocessing
    trained_on = load_faces(manifest, p)
    for picture, face in zip(pictures, trained_on, strict=True):
        height, width = picture.shape[:2]
        assert np.array_equal(crop_faces(picture, [whole_box(width, height)], p)[0], face)
        prepared = recognizer.pipeline.prepare(picture)
        assert np.array_equal(prepared.crops[0], face)
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(trained_on))
    assert recognizer.predict_faces(pictures) == pytest.approx(probs, abs=1e-6)
    alone = [recognizer.predict(picture).faces[0] for picture in pictures]
    for face, row in zip(alone, probs, strict=True):
        assert list(face.probs.values()) == pytest.approx(row.tolist(), abs=1e-4)


def test_what_lies_beside_the_square_does_not_matter(recognizer: EmotionRecognizer) -> None:
    pictures = [picture.copy() for picture in _pictures()[:2]]
    before = recognizer.predict_faces(pictures)
    pictures[0][:, :15] = 255
    pictures[1][-15:] = 0
    assert np.array_equal(recognizer.predict_faces(pictures), before)


def test_a_turned_photo_is_turned_before_it_is_cut(recognizer: EmotionRecognizer) -> None:
    upright = _pictures()[0]
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    Image.fromarray(np.rot90(upright)).save(out, "PNG", exif=exif)
    found = recognizer.predict_faces([out.getvalue(), upright])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
