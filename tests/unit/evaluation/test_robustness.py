from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien import ConfigError, DataError, EmotionRecognizer
from mien.data import read_manifest
from mien.evaluation.robustness import (
    CONDITIONS,
    SEVERITIES,
    conditions,
    corrupt,
    framed_crops,
    robustness,
)
from mien.preprocess import Preprocessing
from support.faces import draw_face, write_folder

GRAY = Preprocessing(size=48, color="gray")


def _face() -> np.ndarray:
    return np.asarray(draw_face("happiness", 1))[..., None]


@pytest.mark.parametrize("kind", SEVERITIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_stronger_corruption_changes_more(kind: str, channels: int) -> None:
    face = np.repeat(_face(), channels, axis=2)
    before = face.copy()
    changes = []
    for strength in SEVERITIES[kind]:
        out = corrupt(face, kind, strength, np.random.default_rng(0))
        assert out.shape == face.shape
        assert out.dtype == np.uint8
        changes.append(float(np.abs(out.astype(int) - face).mean()))
    assert (face == before).all()
    assert changes[0] > 0
    assert changes == sorted(changes)


def test_corruptions_by_hand() -> None:
    rng = np.random.default_rng(0)
    face = np.array([[[0], [200]]], np.uint8)
    assert corrupt(face, "contrast", 0.5, rng).tolist() == [[[50], [150]]]
    assert corrupt(face, "brightness", 100, rng).tolist() == [[[100], [255]]]
    hidden = corrupt(np.zeros((10, 10, 1), np.uint8), "occlusion", 0.25, rng)
    assert (hidden == 128).sum() == 25
    noise = corrupt(np.full((200, 200, 1), 128, np.uint8), "noise", 8, rng)
    assert noise.std() == pytest.approx(8, rel=0.03)
    with pytest.raises(ConfigError, match="contrast"):
        corrupt(face, "fog", 1, rng)


def test_framing_moves_and_scales_the_face() -> None:
    image = np.zeros((48, 48, 3), np.uint8)
    image[20:28, 20:28] = 240  # 8 pixels wide, in the middle

    def middle(**options: float) -> tuple[float, float, float]:
        crop = framed_crops([image], GRAY, **options)[0, ..., 0].astype(float)
        rows, columns = np.indices(crop.shape)
        mass = crop.sum()
        return (columns * crop).sum() / mass, (rows * crop).sum() / mass, mass / 240

    assert middle() == pytest.approx((23.5, 23.5, 64))
    assert middle(shift_x=0.1)[:2] == pytest.approx((23.5 - 4.8, 23.5), abs=0.1)
    assert middle(shift_y=-0.1)[:2] == pytest.approx((23.5, 23.5 + 4.8), abs=0.1)
    assert middle(scale=0.5)[2] == pytest.approx(256, rel=0.05)


def test_conditions_are_complete_and_repeatable() -> None:
    images = [np.repeat(_face(), 3, axis=2)] * 2
    first, second = list(conditions(images, GRAY, 0)), list(conditions(images, GRAY, 0))
    assert len(first) == CONDITIONS == 39
    assert [row[:3] for row in first] == [row[:3] for row in second]
    for one, two in zip(first, second, strict=True):
        assert (one[3] == two[3]).all()
    noise = {row[1]: row[3] for row in first if row[0] == "noise"}
    assert (noise[1][0] != noise[1][1]).any()


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    manifest = read_manifest(f"folder:{write_folder(tmp_path / 'faces', 4)}")
    recognizer = EmotionRecognizer(detector="none")
    with pytest.raises(ConfigError, match="at least one"):
        robustness(recognizer, manifest, faces=0)
    with pytest.raises(DataError, match="test"):
        robustness(recognizer, manifest, split="test")
    broken = next((tmp_path / "faces" / "valid").rglob("*.png"))
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=broken.name):
        robustness(recognizer, manifest)
