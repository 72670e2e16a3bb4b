from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mien.backends import open_backend
from mien.errors import ConfigError, ModelError
from mien.hub import (
    ASSETS,
    DEFAULT_MODEL,
    ModelConfig,
    bundled_models,
    read_model_folder,
    write_config,
)
from mien.hub.card import model_card
from mien.labels import HES3
from mien.preprocess import Preprocessing


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(read_model_folder().path, tmp_path / "model"))


def _change(folder: Path, **changes: object) -> None:
    value = json.loads((folder / "config.json").read_text())
    value["mien"].update(changes)
    (folder / "config.json").write_text(json.dumps(value))


def test_bundled_folder_is_whole_and_small() -> None:
    assert DEFAULT_MODEL in bundled_models()
    folder = read_model_folder()
    total = sum(folder.file(name).stat().st_size for name in folder.config.files)
    assert set(folder.config.files) == {"model.onnx", "model.safetensors"}
    assert total <= 6_000_000
    assert folder.config.schema.name == "ferplus8"
    assert folder.config.metrics["valid"]["n"] == 3199


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_networks_are_right_on_processors_without_vnni(name: str) -> None:
    """Sums of two products of a byte and a weight must fit 16 bits: 2 * 255 * 64 = 32640."""
    onnx = pytest.importorskip("onnx")
    folder = read_model_folder(name)
    assert folder.config.files["model.onnx"]["weight_bits"] == 7
    tensors = onnx.load(folder.file("model.onnx")).graph.initializer
    weights = [onnx.numpy_helper.to_array(one) for one in tensors if one.data_type == one.INT8]
    wide = [weight for weight in weights if weight.ndim == 4]
    assert len(wide) == 12
    assert max(abs(weight.astype(int)).max() for weight in wide) == 64


def test_card_of_the_bundled_model_is_the_one_the_command_writes() -> None:
    folder = read_model_folder()
    assert (folder.path / "README.md").read_text(encoding="utf-8") == model_card(folder)


def test_config_round_trip(tmp_path: Path) -> None:
    config = ModelConfig("mienet_s", "x", HES3, Preprocessing(size=48), temperature=1.5)
    assert read_model_folder(write_config(tmp_path, config).path).config == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "pip install -U mien"),
        ({"format": 1}, "An earlier version of mien wrote it: train or fetch"),
        ({"temperature": 0}, "temperature"),
        ({"schema": {"labels": ["one"]}}, "at least two"),
        ({"schema": None}, "cannot be used"),
        ({"preprocessing": {"size": 48, "epsilom": 1}}, "epsilon"),
    ],
)
def test_damaged_config_is_refused(copy: Path, changes: dict[str, object], words: str) -> None:
    _change(copy, **changes)
    with pytest.raises(ModelError, match=words):
        read_model_folder(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"architecture": "x"}', "\x00"])
def test_config_that_is_no_config_is_refused(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_model_folder(copy)


def test_unknown_model_names_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mienet_s\.ferplus8"):
        read_model_folder("mienet_s.ferplus")
    with pytest.raises(ModelError, match="no model folder"):
        read_model_folder(tmp_path)
    (tmp_path / "file.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="is a file"):
        read_model_folder(tmp_path / "file.onnx")


def test_changed_weights_are_refused(copy: Path) -> None:
    with (copy / "model.onnx").open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\xff")
    with pytest.raises(ModelError, match="sha256"):
        open_backend(read_model_folder(copy))


@pytest.mark.parametrize("content", [b"", b"not onnx at all", b"\x08\x01" * 500])
def test_foreign_onnx_is_refused(copy: Path, content: bytes) -> None:
    (copy / "model.onnx").write_bytes(content)
    _change(copy, files={})
    with pytest.raises(ModelError, match="cannot be opened"):
        open_backend(read_model_folder(copy))


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9, 0.999])
def test_truncated_onnx_is_refused_without_a_digest_too(copy: Path, share: float) -> None:
    path = copy / "model.onnx"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match="sha256"):
        open_backend(read_model_folder(copy))
    _change(copy, files={})
    with pytest.raises(ModelError, match=r"cannot be opened.*Fetch or export it again"):
        open_backend(read_model_folder(copy))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"<!doctype html><title>404</title>", "is HTML or XML text"),
        (b"PK\x03\x04 and so on", "is a ZIP archive"),
        (b"", "starts with nothing"),
    ],
)
def test_file_that_is_plainly_no_network_is_named(copy: Path, content: bytes, words: str) -> None:
    (copy / "model.onnx").write_bytes(content)
    _change(copy, files={})
    with pytest.raises(ModelError, match=words):
        open_backend(read_model_folder(copy))


def test_network_made_elsewhere_is_sent_to_adopt(copy: Path) -> None:
    shutil.copyfile(ASSETS / "detector" / "refiner.onnx", copy / "model.onnx")
    _change(copy, files={})
    with pytest.raises(ModelError, match=r"'logits'.*mien adopt"):
        open_backend(read_model_folder(copy))


def test_weights_that_give_no_numbers_are_refused(copy: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = copy / "model.onnx"
    model = onnx.load(path)
    weights = next(item for item in model.graph.initializer if item.name.endswith("head.weight"))
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[0] = np.nan
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, path)
    _change(copy, files={})
    backend = open_backend(read_model_folder(copy))
    with pytest.raises(ModelError, match="no numbers"):
        backend.run(np.ones((2, 1, 48, 48), np.float32))


def test_missing_weights_are_named(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match="mien export"):
        open_backend(read_model_folder(copy))


def test_graph_that_does_not_fit_the_config_is_refused(copy: Path) -> None:
    _change(copy, schema=HES3.to_dict(), conformal=None, prior=None)
    with pytest.raises(ModelError, match="logits"):
        open_backend(read_model_folder(copy))


def test_thresholds_for_other_labels_are_refused(copy: Path) -> None:
    _change(copy, schema=HES3.to_dict())
    with pytest.raises(ModelError, match="8 thresholds for 3 labels"):
        read_model_folder(copy)
    _change(copy, conformal={"coverage": 2})
    with pytest.raises(ModelError, match="conformal"):
        read_model_folder(copy)


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="onnx"):
        open_backend(read_model_folder(), "onxn")
