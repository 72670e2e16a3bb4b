from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from torch import Tensor, nn

from mien.backends import open_backend
from mien.backends.torch import load_network
from mien.errors import ConfigError, ModelError
from mien.exporting import export_run
from mien.exporting import onnx as exporter
from mien.hub import read_model_folder
from support.exporter import trace_once


def _batch(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 1, 48, 48)).astype(np.float32)


def _agree(folder_path: Path) -> None:
    folder = read_model_folder(folder_path)
    fast, slow = (open_backend(folder, name) for name in ("onnx", "torch"))
    for n in (1, 2, 37):
        a, b = fast.run(_batch(n), features=True), slow.run(_batch(n), features=True)
        assert np.abs(a.logits - b.logits).max() <= 1e-4
        assert a.features is not None
        assert b.features is not None
        assert np.abs(a.features - b.features).max() <= 1e-4


def test_trained_run_agrees_in_both_engines(trained: Path) -> None:
    _agree(trained)


def test_half_weights_agree_and_are_smaller(trained: Path, tmp_path: Path) -> None:
    folder, difference = export_run(trained, tmp_path / "half", half_weights=True)
    assert difference <= 1e-4
    _agree(folder.path)
    whole = read_model_folder(trained).config.files
    for name, entry in folder.config.files.items():
        assert entry["bytes"] < 0.85 * whole[name]["bytes"], name
    assert not onnx.load(folder.path / "model.onnx").metadata_props
    text = (folder.path / "model.onnx").read_bytes()
    assert b"site-packages" not in text
    assert str(Path.cwd()).encode() not in text


def _state() -> dict[str, Any]:
    names = [name for name in logging.root.manager.loggerDict if name.startswith(("torch", "onnx"))]
    return {
        "levels": {name: logging.getLogger(name).level for name in names},
        "handlers": list(logging.root.handlers),
        "filters": list(warnings.filters),
        "environment": dict(os.environ),
        "streams": (sys.stdout, sys.stderr),
    }


def test_export_leaves_the_process_as_it_was(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(logging.root, "handlers", [])
        before = _state()
        export_run(trained, tmp_path / "out")
        after = _state()
    after["levels"] = {name: after["levels"][name] for name in before["levels"]}
    assert {key: after[key] for key in before if after[key] != before[key]} == {}


def test_export_over_an_existing_file_is_refused(trained: Path) -> None:
    with pytest.raises(ConfigError, match="--overwrite"):
        export_run(trained)
    with pytest.raises(ConfigError, match="folder of their own"):
        export_run(trained, half_weights=True, overwrite=True)


def test_export_that_disagrees_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "PARITY", 1e-12)
    with pytest.raises(ModelError, match="disagree"):
        export_run(trained, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.onnx"))


@pytest.mark.parametrize("factor", [1.0, 1e5])
def test_large_logits_may_differ_by_as_much_more(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    folder = read_model_folder(trained)
    network = load_network(folder)
    with torch.no_grad():
        for parameter in network.head.parameters():  # type: ignore[union-attr]
            parameter.mul_(factor)
    difference = exporter.export_onnx(network, tmp_path / "model.onnx", folder.config)
    assert (difference > 1e-4) is (factor > 1)
    monkeypatch.setattr(exporter, "PARITY", 1e-12)
    with pytest.raises(ModelError, match="is allowed where the largest is"):
        exporter.export_onnx(network, tmp_path / "again.onnx", folder.config)


@pytest.mark.parametrize("half", [False, True])
def test_a_network_of_traced_layers_is_written_as_if_traced_itself(
    trained: Path, tmp_path: Path, half: bool
) -> None:
    """The other tests rely on it: they trace networks of the same layers once."""
    folder = read_model_folder(trained)
    networks = [load_network(folder), load_network(folder)]
    with torch.no_grad():
        for _, value in (*networks[1].named_parameters(), *networks[1].named_buffers()):
            value.mul_(2) if value.is_floating_point() else value.add_(1)
    for network in networks:
        if half:
            exporter.halve_weights(network)
    files = []
    for once in (True, False):
        trace_once(once=once)
        for network in networks:
            exporter.export_onnx(network, tmp_path / "a.onnx", folder.config, half_weights=half)
            files.append((tmp_path / "a.onnx").read_bytes())
            (tmp_path / "a.onnx").unlink()
    assert files[:2] == files[2:]
    assert files[0] != files[1]


def test_an_operation_that_onnx_lacks_is_named(trained: Path, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum().item() * x

    with pytest.raises(ModelError, match="cannot be written as ONNX"):
        exporter.export_onnx(Odd(), tmp_path / "model.onnx", read_model_folder(trained).config)


def test_weights_of_another_network_are_refused(trained: Path, tmp_path: Path) -> None:
    import json
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    config = json.loads((copy / "config.json").read_text())
    config["architecture"] = "mienet_s"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="does not hold the weights of mienet_s"):
        open_backend(read_model_folder(copy), "torch")
