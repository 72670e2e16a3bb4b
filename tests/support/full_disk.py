"""What the tests of a full disk share."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli import main
from mien.hub import ModelConfig, write_config
from mien.labels import LabelSchema
from mien.preprocess import Preprocessing
from support.training_recipe_runs import largest_file

_LABELS = ("happy", "sad", "angry")


def write_faces(root: Path) -> Path:
    """Twelve faces in folders by split and class."""
    rng = np.random.default_rng(0)
    for split in ("train", "valid"):
        for label in _LABELS:
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in (1, 2):
                pixels = rng.integers(0, 256, (20, 24), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def write_linear_model(folder: Path) -> Path:
    """A model folder whose network is a linear layer on the pixels of a gray 8x8 face."""
    import onnx

    folder.mkdir()
    weights = np.random.default_rng(0).normal(0, 0.2, (64, 3)).astype(np.float32)
    value, make = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [make("Flatten", ["input"], ["flat"]), make("MatMul", ["flat", "w"], ["logits"])],
        "linear",
        [value("input", onnx.TensorProto.FLOAT, ["N", 1, 8, 8])],
        [value("logits", onnx.TensorProto.FLOAT, ["N", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    network = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save_model(network, folder / "model.onnx")
    schema = LabelSchema("drawn", _LABELS)
    config = ModelConfig("linear", "drawn", schema, Preprocessing(size=8, color="gray"))
    return write_config(folder, config).path


def error_when_full(words: str, capsys: pytest.CaptureFixture[str], size: int = 0) -> str:
    """Types a command while no file may be larger than ``size``; returns its one line of error.

    The operating system refuses as a full disk does, whatever library writes.
    """
    tempfile.gettempdir()  # it tries out a file, once per process
    with largest_file(size), pytest.raises(SystemExit) as stop:
        main(words.split())
    told = capsys.readouterr().err
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert (stop.value.code, len(errors)) == (1, 1), told
    assert "Traceback" not in told
    return errors[0]


def files_of(folder: Path) -> dict[Path, bytes]:
    """Returns the files below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
