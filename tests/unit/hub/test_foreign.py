"""Networks of others: what their folders say, and what is said where one cannot be had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

huggingface_hub = pytest.importorskip("huggingface_hub")

from mien.errors import ConfigError, ModelError
from mien.hub.foreign import fetch_weights, open_foreign, read_preprocessing
from mien.preprocess import Preprocessing


def _write(folder: Path, **files: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, values in files.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return folder


def _scaled(preprocessing: Preprocessing, level: int) -> float:
    return (level / 255 - preprocessing.mean[0]) / preprocessing.std[0]


@pytest.mark.parametrize(
    ("given", "size", "interpolation", "black", "white"),
    [
        ({"size": {"height": 96, "width": 96}, "resample": 3, "image_mean": [0.5] * 3,
          "image_std": [0.5] * 3}, 96, "bicubic", -1.0, 1.0),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True,
          "crop_size": {"height": 224, "width": 224}, "image_mean": [0.5] * 3,
          "image_std": [0.25] * 3, "resample": 2}, 224, "bilinear", -2.0, 2.0),
        ({"size": 64, "do_normalize": False}, 64, "bilinear", 0.0, 1.0),
        # By hand: 255 / 127.5 - 1 = 1, less the mean, over the squared std.
        ({"size": 64, "rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": True,
          "image_mean": [0.0] * 3, "image_std": [0.5] * 3}, 64, "bilinear", -4.0, 4.0),
        ({"size": 64, "do_rescale": False, "image_mean": [0.0] * 3, "image_std": [1.0] * 3},
         64, "bilinear", 0.0, 255.0),
    ],
)  # fmt: skip
def test_scaling_becomes_one_mean_and_std(
    tmp_path: Path, given: dict[str, Any], size: int, interpolation: str, black: float, white: float
) -> None:
    found = read_preprocessing(_write(tmp_path, preprocessor_config=given), {"image_size": 32})
    assert (found.size, found.color, found.interpolation) == (size, "rgb", interpolation)
    assert np.allclose([_scaled(found, 0), _scaled(found, 255)], [black, white])


def test_without_a_preprocessor_the_size_is_the_networks(tmp_path: Path) -> None:
    found = read_preprocessing(tmp_path, {"image_size": 96})
    assert (found.size, found.mean) == (96, (0.485, 0.456, 0.406))


@pytest.mark.parametrize(
    ("given", "expected"),
    [(0, "bilinear"), (4, "bilinear"), (3, "bicubic"), ("bicubic", "bicubic"), (None, "bilinear")],
)
def test_a_filter_that_mien_lacks_is_told(
    tmp_path: Path, given: object, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _write(tmp_path, preprocessor_config={"size": 64, "resample": given})
    assert read_preprocessing(folder, {}).interpolation == expected
    assert ("resamples with" in caplog.text) == (given in (0, 4))


@pytest.mark.parametrize("given", [7, "cubic", [3], True])
def test_a_filter_that_nobody_has_is_refused(tmp_path: Path, given: object) -> None:
    folder = _write(tmp_path, preprocessor_config={"size": 64, "resample": given})
    with pytest.raises(ModelError, match=r"unknown filter resample=.*0 to 5: nearest, lanczos"):
        read_preprocessing(folder, {})


def test_folders_that_are_unfit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        open_foreign("./nowhere")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        open_foreign(str(tmp_path))
    _write(tmp_path, config={"model_type": "vit"})
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match="a pickle is never opened"):
        open_foreign(str(tmp_path))
    own = _write(tmp_path / "own", config={"architecture": "lenet", "mien": {}})
    with pytest.raises(ConfigError, match="--model lenet --weights"):
        open_foreign(str(own))


def test_the_hub_out_of_reach_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> Any:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_session", refuse)
    with pytest.raises(ModelError, match=r"offline\?.*hf download org/vit .*--model \./vit"):
        open_foreign("org/vit")
    with pytest.raises(ModelError, match=r"offline\?.*--weights vit/model\.safetensors"):
        fetch_weights("org/vit", "weights of timm:vit")
