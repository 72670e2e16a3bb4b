from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from mien import EmotionRecognizer
from mien.cli.sources import SAMPLE
from mien.explanation import read_image
from mien.explanation.layers import feature_maps, first_filters, list_layers
from mien.explanation.sheets import feature_sheet, filter_sheet
from mien.hub import read_model_folder
from mien.models import create_model
from support.faces import LABELS, draw_face


def _crops(count: int = 4) -> np.ndarray:
    faces = [draw_face(label, 500 + seed) for label in LABELS for seed in range(count)]
    drawn = np.stack([np.asarray(face) for face in faces])[..., None]
    photo = read_image(EmotionRecognizer(), SAMPLE).batch.crops
    return np.concatenate([photo, drawn])


def test_layers_are_listed_in_their_order_with_all_parameters() -> None:
    rows = list_layers(read_model_folder())
    network = create_model("mienet_s", num_classes=8)
    assert sum(row.parameters for row in {row.name: row for row in rows}.values()) == sum(
        p.numel() for p in network.parameters()
    )
    assert [row.shape for row in rows if row.name == "head"] == [(8,)]
    assert rows[0].to_dict()["shape"] == [32, 48, 48]


def test_feature_map_of_the_last_stage_is_nearly_the_int8_output() -> None:
    recognizer = EmotionRecognizer(detector="none")
    crop = _crops(1)[0]
    from mien.explanation.methods import run_batch

    last = run_batch(recognizer, crop[None]).features
    assert last is not None
    maps = feature_maps(read_model_folder(), crop, "stages")
    assert np.abs(maps - last[0]).mean() < 0.1 * np.abs(maps).mean()
    assert np.corrcoef(maps.ravel(), last[0].ravel())[0, 1] > 0.99


def test_wrong_layers_are_refused() -> None:
    from mien import ConfigError

    crop = np.zeros((48, 48, 1), np.uint8)
    with pytest.raises(ConfigError, match=r"stages\.0"):
        feature_maps(read_model_folder(), crop, "stage.0")
    with pytest.raises(ConfigError, match="no stack of maps"):
        feature_maps(read_model_folder(), crop, "head")


def test_sheets_show_every_map_and_filter() -> None:
    folder = read_model_folder()
    assert first_filters(folder).shape == (32, 1, 3, 3)
    assert filter_sheet(folder).shape == (4 * 95 + 8, 8 * 80 + 8, 3)
    picture = feature_sheet(folder, _crops(1)[0], "stem")
    assert picture.shape[2] == 3
    assert picture.std() > 10
