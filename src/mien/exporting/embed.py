"""Networks that need no code of ours: uint8 faces go in, calibrated probabilities come out.

The graph takes ``faces``, uint8 (N, S, S, C), and gives ``probs``, float32 (N, K). Scaling,
normalisation, temperature and softmax are nodes of it; labels, size and colour stand in its
metadata, so that one file is all that another program or language needs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.exporting.graph import free_names, import_onnx, opset

if TYPE_CHECKING:
    from mien.hub import ModelConfig
    from mien.preprocess import Preprocessing

_PREFIX = "mien."


class _Writer:
    """Collects nodes and constants with names of their own."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        name = output or f"{_PREFIX}{kind.lower()}{len(self.nodes)}"
        self.nodes.append(
            self._onnx.helper.make_node(kind, inputs, [name], name=f"{_PREFIX}{name}", **attributes)
        )
        return name

    def constant(self, value: Any) -> str:
        """Adds a constant; returns its name."""
        name = f"{_PREFIX}constant{len(self.nodes)}.{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name


def embed_preprocessing(model: Any, config: ModelConfig) -> Any:
    """Returns a network with its preprocessing, temperature and softmax inside.

    Args:
        model: Graph with one float32 input (N, C, S, S) and an output ``logits`` (N, K).
        config: What its folder says: preprocessing, temperature and labels.

    Raises:
        ModelError: If the graph is not of that form.
    """
    onnx = import_onnx()
    whole = type(model)()
    whole.CopyFrom(model)
    graph = whole.graph
    free_names(graph, ("faces", "probs"))
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or "logits" not in [value.name for value in graph.output]:
        raise ModelError(
            f"a network with one input and an output 'logits' is needed; this one has inputs "
            f"{inputs} and outputs {[value.name for value in graph.output]}."
        )
    writer = _Writer(onnx)
    _write_normalization(writer, config.preprocessing, inputs[0], opset(whole))
    first = len(writer.nodes)
    scaled = writer.node("Div", "logits", writer.constant(np.float32(config.temperature)))
    writer.node("Softmax", scaled, output="probs", axis=1)
    nodes = [*writer.nodes[:first], *graph.node, *writer.nodes[first:]]
    _set_ends(onnx, graph, config)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(writer.constants)
    p = config.preprocessing
    onnx.helper.set_model_props(
        whole,
        {
            "labels": json.dumps(list(config.schema.labels)),
            "size": str(p.size),
            "color": p.color,
            "model": config.name,
            "license": config.license,
        },
    )
    onnx.checker.check_model(whole)
    return whole


def _write_normalization(writer: _Writer, p: Preprocessing, output: str, version: int) -> None:
    """Writes what :func:`mien.preprocess.normalize` computes, in the same order."""
    turned = writer.node("Transpose", "faces", perm=[0, 3, 1, 2])
    x = writer.node("Cast", turned, to=1)
    if p.normalization == "fixed":
        shift = np.asarray(p.mean, np.float32).reshape(1, -1, 1, 1) * np.float32(255)
        scale = 1 / (255 * np.asarray(p.std, np.float32).reshape(1, -1, 1, 1))
        centred = writer.node("Sub", x, writer.constant(shift))
        writer.node("Mul", centred, writer.constant(scale.astype(np.float32)), output=output)
        return
    centred = writer.node("Sub", x, _mean(writer, x, version))
    square = writer.node("Mul", centred, centred)
    std = writer.node("Sqrt", _mean(writer, square, version))
    spread = writer.node("Add", std, writer.constant(np.float32(p.epsilon)))
    writer.node("Div", centred, spread, output=output)


def _mean(writer: _Writer, x: str, version: int) -> str:
    """Writes the mean of each face; the axes became an input in version 18."""
    if version < 18:
        return writer.node("ReduceMean", x, axes=[1, 2, 3], keepdims=1)
    axes = writer.constant(np.array([1, 2, 3], np.int64))
    return writer.node("ReduceMean", x, axes, keepdims=1)


def _set_ends(onnx: Any, graph: Any, config: ModelConfig) -> None:
    """Puts ``faces`` and ``probs`` in place of the network's own input and outputs."""
    p, types = config.preprocessing, onnx.TensorProto
    constants = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name in constants]
    shape = ["N", p.size, p.size, p.channels]
    faces = onnx.helper.make_tensor_value_info("faces", types.UINT8, shape)
    probs = onnx.helper.make_tensor_value_info("probs", types.FLOAT, ["N", len(config.schema)])
    del graph.input[:], graph.output[:]
    graph.input.extend([faces, *kept])
    graph.output.append(probs)
