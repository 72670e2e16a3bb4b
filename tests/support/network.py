"""A small network made without torch: random convolutions, and a last layer solved exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from mien.hub import ModelConfig, write_config
from mien.labels import LabelSchema
from mien.preprocess import Preprocessing, normalize
from support.faces import LABELS, draw_face

PREPROCESSING = Preprocessing(size=48, color="gray")


def _graph(tensors: dict[str, np.ndarray], last: str) -> Any:
    make = helper.make_node
    nodes = [
        make("Conv", ["input", "w1"], ["c1"], "conv1", strides=[2, 2], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c1", "s1", "b1", "m1", "v1"], ["n1"], "norm1"),
        make("Relu", ["n1"], ["r1"], "relu1"),
        make("Conv", ["r1", "w2"], ["c2"], "conv2", strides=[2, 2], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c2", "s2", "b2", "m2", "v2"], ["n2"], "norm2"),
        make("Relu", ["n2"], ["features"], "relu2"),
        make("AveragePool", ["features"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        make("Flatten", ["pooled"], ["flat"], "flatten"),
        make("Gemm", ["flat", "w3", "b3"], ["logits"], "head"),
    ]  # fmt: skip
    shapes: dict[str, list[str | int]] = {
        "logits": ["N", 3], "features": ["N", 16, 12, 12], "flat": ["N", 576],
    }  # fmt: skip
    wanted = ["logits", "features"] if last == "logits" else [last]
    graph = helper.make_graph(
        nodes if last == "logits" else nodes[:-1], "made",
        [helper.make_tensor_value_info("input", 1, ["N", 1, 48, 48])],
        [helper.make_tensor_value_info(name, 1, shapes[name]) for name in wanted],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_model(folder: Path) -> Path:
    """Writes a model folder whose network tells drawn faces apart; returns it."""
    rng = np.random.default_rng(0)

    def norm(count: int, number: int) -> dict[str, np.ndarray]:
        return {
            f"s{number}": rng.uniform(0.5, 2, count), f"b{number}": rng.uniform(-0.2, 0.2, count),
            f"m{number}": rng.uniform(-0.2, 0.2, count), f"v{number}": rng.uniform(0.5, 2, count),
        }  # fmt: skip

    tensors = {
        "w1": rng.normal(0, 0.4, (8, 1, 3, 3)), **norm(8, 1),
        "w2": rng.normal(0, 0.15, (16, 8, 3, 3)), **norm(16, 2),
    }  # fmt: skip
    tensors = {name: value.astype(np.float32) for name, value in tensors.items()}
    faces = np.stack([np.asarray(draw_face(LABELS[i % 3], i)) for i in range(360)])[..., None]
    inner = onnxruntime.InferenceSession(_graph(tensors, "flat").SerializeToString())
    flat = inner.run(None, {"input": normalize(faces, PREPROCESSING)})[0].astype(np.float64)
    centred = flat - flat.mean(axis=0)
    target = 4 * np.eye(3)[np.arange(360) % 3]
    inverse = np.linalg.inv(centred.T @ centred + 20 * np.eye(576))
    weight = inverse @ centred.T @ (target - target.mean(axis=0))
    tensors["w3"] = weight.astype(np.float32)
    tensors["b3"] = (target.mean(axis=0) - flat.mean(axis=0) @ weight).astype(np.float32)
    folder.mkdir(parents=True)
    onnx.save_model(_graph(tensors, "logits"), folder / "model.onnx")
    schema = LabelSchema("drawn", LABELS)
    config = ModelConfig("made", "drawn", schema, PREPROCESSING, num_features=16, temperature=0.8)
    return write_config(folder, config).path
