from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mien import EmotionRecognizer, ModelError
from mien.explanation import explain_crops, read_classifier
from mien.explanation.methods import run_batch
from mien.hub import CONFIG, ModelConfig, ModelFolder, read_model_folder, write_config


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(read_model_folder().path, tmp_path / "model"))


def test_logits_follow_from_features_and_the_layer_read() -> None:
    recognizer = EmotionRecognizer(detector="none")
    crops = np.random.default_rng(0).integers(0, 255, (4, 48, 48, 1)).astype(np.uint8)
    batch = run_batch(recognizer, crops)
    layer = read_classifier(recognizer.folder)
    assert batch.features is not None
    again = batch.features.mean(axis=(2, 3)) @ layer.weight.T + layer.bias
    assert again == pytest.approx(batch.logits, abs=1e-4)


def test_changed_weights_are_refused(copy: Path) -> None:
    recognizer = EmotionRecognizer(copy, detector="none")
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="sha256"):
        explain_crops(recognizer, np.zeros((1, 48, 48, 1), np.uint8))


def test_missing_weights_are_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        read_classifier(read_model_folder(copy))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"fc.weight": np.zeros((8, 240), np.float32)}, "last linear layer 'head'"),
        ({"head.weight": np.zeros((3, 240), np.float32)}, "8 classes"),
        ({"head.weight": np.zeros((8,), np.float32)}, "8 classes"),
        (None, "no readable safetensors"),
    ],
)
def test_other_weights_are_refused(
    copy: Path, tensors: dict[str, np.ndarray] | None, words: str
) -> None:
    file = copy / "model.safetensors"
    if tensors is None:
        file.write_bytes(b"\xff" * 100)
    else:
        save_file(tensors, file)
    folder = write_config(copy, read_model_folder(copy).config)
    with pytest.raises(ModelError, match=words):
        read_classifier(folder)


def test_layer_of_another_name_and_without_a_bias_is_read(copy: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(8, 240)).astype(np.float16)
    save_file({"fc.weight": weight}, copy / "model.safetensors")
    config = replace(read_model_folder(copy).config, classifier="fc")
    layer = read_classifier(write_config(copy, config))
    assert layer.weight.dtype == np.float32
    assert layer.weight == pytest.approx(weight.astype(np.float32))
    assert not layer.bias.any()


def test_name_of_the_layer_travels_in_config_json(copy: Path) -> None:
    config = read_model_folder(copy).config
    assert config.classifier == "head"
    write_config(copy, replace(config, classifier="fc"))
    value = json.loads((copy / CONFIG).read_text())
    assert value["pretrained_cfg"]["classifier"] == "fc"
    assert ModelConfig.from_dict(value).classifier == "fc"
    del value["pretrained_cfg"]["classifier"]
    assert ModelConfig.from_dict(value).classifier == "head"


def test_weights_without_a_checksum_are_read_anew_each_time(copy: Path) -> None:
    folder = ModelFolder(copy, replace(read_model_folder(copy).config, files={}))
    before = read_classifier(folder).weight.copy()
    save_file({"head.weight": np.ones((8, 240), np.float32)}, copy / "model.safetensors")
    assert (read_classifier(folder).weight == 1).all()
    assert not (before == 1).all()


def test_network_with_another_end_is_refused(copy: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(8, 240)).astype(np.float32)
    save_file({"head.weight": weight}, copy / "model.safetensors")
    write_config(copy, read_model_folder(copy).config)
    recognizer = EmotionRecognizer(copy, detector="none")
    with pytest.raises(ModelError, match="gradcam"):
        explain_crops(recognizer, np.zeros((1, 48, 48, 1), np.uint8), method="cam")
