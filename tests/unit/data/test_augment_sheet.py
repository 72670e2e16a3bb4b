from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from PIL import Image

from mien.cli import main
from mien.data import read_manifest
from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.data.augment_sheet import draw_augmentation, pick_faces
from support.faces import write_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{write_folder(tmp_path_factory.mktemp('sheet') / 'faces', 6)}"


def test_faces_are_picked_by_class_in_turn(data: str) -> None:
    train = read_manifest(data).split("train")
    picked = pick_faces(train, 6, seed=1)
    assert sorted(train.class_ids[picked].tolist()) == sorted([*set(train.class_ids.tolist())] * 2)
    assert picked == pick_faces(train, 6, seed=1)
    assert len(pick_faces(train, 100)) == len(set(pick_faces(train, 100))) == len(train)


def test_sheet_shows_the_face_then_its_changes(data: str) -> None:
    config = TrainConfig(data=data, cutmix=0.5, seed=2)
    page = draw_augmentation(config, faces=2, copies=3, side=48)
    # Two faces, six techniques, MixUp, CutMix; four columns of 48 px with 8 px between.
    assert page.shape[1] == 4 * (48 + 8) + 8
    assert page.shape[0] == 10 * (48 + 8 + 15) + 8
    tiles = [page[8:56, 8 + 56 * k : 56 + 56 * k] for k in range(4)]
    assert all(tile.std() > 10 for tile in tiles)
    assert not np.array_equal(tiles[1], tiles[2])
    assert np.array_equal(page, draw_augmentation(config, faces=2, copies=3, side=48))


def test_each_technique_is_named_and_mixed_faces_have_parents_and_shares(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def keep(tiles: Any, captions: list[str], **_: Any) -> Any:
        seen.update(tiles=tiles, captions=captions)
        return tiles[0]

    monkeypatch.setattr("mien.training.data.augment_sheet.sheet", keep)
    draw_augmentation(TrainConfig(data=data, cutmix=0.5, light=0, randaugment=1), copies=2)
    captions, tiles = seen["captions"], seen["tiles"]
    assert captions[1] == "all together"
    named = captions[3 * 6 + 1 :: 3][:6]
    assert named == ["flip, turn, zoom", "blur", "low resolution", "RandAugment", "noise", "erase"]
    for name in ("MixUp", "CutMix"):
        at = next(at for at, words in enumerate(captions) if words.startswith(name))
        first, second = (
            int(part.strip().rstrip("%")) for part in captions[at][len(name) :].split("+")
        )
        assert first + second in (99, 100, 101)
        one, other, mixed = (tile.astype(float) for tile in tiles[at - 2 : at + 1])
        if name == "MixUp":
            assert np.abs(mixed - (first * one + second * other) / 100).max() < 3
        else:
            assert ((mixed == one) | (mixed == other)).all()


def test_a_recipe_that_changes_nothing_repeats_the_face(data: str) -> None:
    still: dict[str, Any] = {
        "rotate": 0, "scale_min": 1, "scale_max": 1, "shift": 0, "flip": 0, "light": 0,
        "blur": 0, "low_resolution": 0, "noise": 0, "erase": 0, "mixup": 0,
    }  # fmt: skip
    page = draw_augmentation(TrainConfig(data=data, **still), faces=1, copies=1, side=48)
    assert page.shape[0] == 48 + 8 + 15 + 8
    before, after = page[8:56, 8:56].astype(int), page[8:56, 64:112].astype(int)
    assert np.abs(before - after).max() <= 1


def test_command_writes_a_picture_and_refuses_what_it_cannot(data: str, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    command = ["data", "augment", "-d", data, "-o", str(output), "--faces", "1", "--copies", "1"]
    with contextlib.suppress(SystemExit):
        main(command)
    with Image.open(output) as picture:
        assert picture.format == "PNG"
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 2
    with pytest.raises(ConfigError, match="no dataset"):
        draw_augmentation(TrainConfig())
