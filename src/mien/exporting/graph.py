"""ONNX graphs as data: reading, folding, and what else every conversion needs. No torch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends.session import import_onnxruntime
from mien.errors import ModelError, first_line, import_extra

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mien.preprocess import Preprocessing


def import_onnx() -> Any:
    """Returns the module ``onnx``; a MissingExtraError says how to install it."""
    return import_extra("onnx", "changing an ONNX graph", "export")


def read_graph(path: Path) -> Any:
    """Reads an ONNX file, with its external data where it has any, and checks it: a ModelProto."""
    onnx = import_onnx()
    if not path.is_file():
        raise ModelError(f"there is no file {path}: give the path of an .onnx file.")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        if not model.graph.node:
            raise ModelError("it holds no operators")  # noqa: TRY301
    except Exception as error:  # protobuf's and onnx's exceptions share no base
        raise ModelError(
            f"is no usable ONNX model: {first_line(error)}",
            subject=path,
            hint="It may be cut off, or of another format: export it again, and give the .onnx "
            "file itself.",
        ) from error
    return model


def float_graph(path: Path) -> Any:
    """Reads a network in float32, batch norms folded by ONNX Runtime's basic optimisation.

    Weights stored as float16 behind a ``Cast`` become the float32 numbers that they stand for.
    """
    onnxruntime = import_onnxruntime()
    read_graph(path)
    onnx = import_onnx()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "float.onnx")
        try:
            onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            reason = f"cannot be opened by ONNX Runtime: {first_line(error)}"
            raise ModelError(reason, subject=path) from error
        model = onnx.load(options.optimized_model_filepath)
    # Shapes noted by the optimiser hinder the converters, which infer their own.
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node} | {""}
    for entry in [item for item in model.opset_import if item.domain not in used]:
        model.opset_import.remove(entry)
    return model


def strip_traces(model: Any) -> None:
    """Removes what exporters note of the source code: file paths have no place in a model."""
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]


def opset(model: Any) -> int:
    """Returns the version of the standard operators that a graph is written in."""
    return next((int(entry.version) for entry in model.opset_import if not entry.domain), 1)


def rename(graph: Any, names: dict[str, str]) -> None:
    """Renames tensors of a graph and of the graphs inside its nodes, in place: old -> new name."""
    for group in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in group:
            value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    rename(inner, names)


def free_names(graph: Any, wanted: Iterable[str]) -> dict[str, str]:
    """Renames what a graph calls by one of the ``wanted`` names; returns new names by old ones."""
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    used |= {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    names = {name: f"{name}.inner" for name in wanted if name in used}
    rename(graph, names)
    return names


class GraphWriter:
    """Collects nodes and constants, with names that begin with a prefix."""

    def __init__(self, prefix: str) -> None:
        self._onnx, self._prefix = import_onnx(), prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Adds a constant; returns its name."""
        name = f"{self._prefix}constant{len(self.constants)}"
        array = np.asarray(value, dtype=dtype)
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        own = f"{self._prefix}{kind.lower()}{len(self.nodes)}"
        made = self._onnx.helper.make_node(kind, inputs, [output or own], name=own, **attributes)
        self.nodes.append(made)
        return output or own

    def normalize(self, x: str, p: Preprocessing, version: int, *, output: str = "") -> str:
        """Adds what :func:`mien.preprocess.normalize` computes of pixels 0..255, in its order."""
        if p.normalization == "fixed":
            shift = np.asarray(p.mean, np.float32).reshape(1, -1, 1, 1) * np.float32(255)
            scale = 1 / (255 * np.asarray(p.std, np.float32).reshape(1, -1, 1, 1))
            centred = self.add("Sub", x, self.constant(shift))
            return self.add("Mul", centred, self.constant(scale), output=output)
        centred = self.add("Sub", x, self._mean(x, version))
        std = self.add("Sqrt", self._mean(self.add("Mul", centred, centred), version))
        spread = self.add("Add", std, self.constant(p.epsilon))
        return self.add("Div", centred, spread, output=output)

    def _mean(self, x: str, version: int) -> str:
        """Adds the mean of each face; the axes became an input in version 18."""
        if version < 18:
            return self.add("ReduceMean", x, axes=[1, 2, 3], keepdims=1)
        return self.add("ReduceMean", x, self.constant([1, 2, 3], np.int64), keepdims=1)
