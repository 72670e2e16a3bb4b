"""What the tests of compare share."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from mien.hub import ONNX, read_model_folder, write_config
from support.faces import write_folder

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The bundled model, the same with two answers swapped, and faces to score them on."""
    root = tmp_path_factory.mktemp("runs")
    good = Path(shutil.copytree(read_model_folder().path, root / "good"))
    bad = Path(shutil.copytree(good, root / "bad"))
    model = onnx.load(bad / ONNX)
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "inner"
    order = onnx.numpy_helper.from_array(np.array([1, 0, 2, 3, 4, 5, 6, 7]), "order")
    model.graph.initializer.append(order)
    model.graph.node.append(onnx.helper.make_node("Gather", ["inner", "order"], ["logits"], axis=1))
    onnx.save_model(model, bad / ONNX)
    config = read_model_folder(bad).config
    write_config(bad, dataclasses.replace(config, architecture="elsewhere"))
    (good / "metrics.csv").write_text("epoch,seconds\n1,30\n2,60\n")
    return good, bad, write_folder(root / "faces", 16)
