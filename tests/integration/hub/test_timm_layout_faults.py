from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torch

from mien import ConfigError, EmotionRecognizer, ModelError
from mien.cli import main
from mien.hub import ModelConfig, read_model_folder
from mien.hub.remote import push_model_folder
from mien.hub.timm_layout import write_timm_layout
from support import hub as stand_in
from support.hub_timm_layout import _faces, backbone, timm_probs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_timm_gives_the_probabilities_of_mien(bundled: Path) -> None:
    recognizer = EmotionRecognizer(detector="none", backend="torch")  # model.onnx is int8
    gray = _faces(gray=True)
    expected = recognizer.predict_faces(gray)
    assert expected.max(axis=1).min() < 0.95  # not only faces that it is sure of
    np.testing.assert_allclose(timm_probs(bundled, gray), expected, atol=1e-4)
    # timm scales colours, mien scales their gray: a level of rounding lies between them.
    color = _faces(gray=False)
    expected = recognizer.predict_faces(color)
    np.testing.assert_allclose(timm_probs(bundled, color), expected, atol=2e-2)


def test_nothing_is_overwritten_and_wrong_weights_are_refused(
    bundled: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="exists"):
        write_timm_layout(read_model_folder(), bundled)
    folder = backbone(tmp_path / "model")
    (folder.path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError):
        write_timm_layout(folder, tmp_path / "timm")
    assert not (tmp_path / "timm").exists()


def test_layout_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = backbone(tmp_path / "model")
    from mien.hub import timm_layout

    def corrupted(config: ModelConfig, network: torch.nn.Module) -> object:
        values, state = timm_layout._as_mien_face(config, network)
        values["model_args"]["temperature"] = 9.0
        return values, state

    monkeypatch.setattr(timm_layout, "_as_timm", corrupted)
    with pytest.raises(ModelError, match="other probabilities"):
        write_timm_layout(folder, tmp_path / "timm")
    assert not (tmp_path / "timm").exists()


def test_layout_of_timm_is_pushed(
    hub: stand_in.Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = "tester/faces"
    with pytest.raises(SystemExit) as stop:
        main(("push", str(folder), repo, "--create", "--layout", "timm"))
    assert not stop.value.code
    repository = hub.repositories[repo]
    pushed = repository.commits[repository.branches["main"]]
    assert set(pushed) == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    assert json.loads(pushed["config.json"])["architecture"] == "mien_face"
    assert f'model="{repo}"' in pushed["README.md"].decode()
    with pytest.raises(ConfigError, match="mien or timm"):
        push_model_folder(read_model_folder(folder), repo, layout="keras")
