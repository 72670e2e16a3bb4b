"""ONNX graphs as data: reading, folding, and what else every conversion needs. No torch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.backends.session import import_onnxruntime
from mien.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable


def import_onnx() -> Any:
    """Returns the module ``onnx``.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("changing an ONNX graph", "export", error.name) from error
    return onnx


def read_graph(path: Path) -> Any:
    """Reads an ONNX file, with its external data where it has any, and checks it.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        ModelError: If the file is missing, cut off, damaged, or no ONNX model.
        MissingExtraError: If onnx is not installed.
    """
    onnx = import_onnx()
    if not path.is_file():
        raise ModelError(f"there is no file {path}: give the path of an .onnx file.")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        _check_nodes(model)
    except Exception as error:  # protobuf's and onnx's exceptions share no base
        first = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"is no usable ONNX model: {first[:300]}",
            subject=path,
            hint=(
                "It may be cut off, or of another format: export it again, and give the .onnx "
                "file itself."
            ),
        ) from error
    return model


def _check_nodes(model: Any) -> None:
    if not model.graph.node:
        raise ModelError("it holds no operators")


def float_graph(path: Path) -> Any:
    """Reads a network as one of plain float32 weights, batch norms folded into convolutions.

    ONNX Runtime's basic optimisation does the folding: it keeps to standard operators. Weights
    stored as float16 behind a ``Cast`` become the float32 numbers that they stand for.

    Raises:
        ModelError: If the file is damaged or ONNX Runtime refuses it.
        MissingExtraError: If onnx is not installed.
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
            first = (str(error).splitlines() or ["no reason given"])[0]
            raise ModelError(
                f"cannot be opened by ONNX Runtime: {first[:300]}", subject=path
            ) from error
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


def sort_nodes(graph: Any) -> None:
    """Puts the nodes of a graph in an order in which each comes after what it reads, in place."""
    made = {name for node in graph.node for name in node.output}
    left, ready, ordered = list(graph.node), set[str](), []
    while left:
        waiting = []
        for node in left:
            if all(name in ready or name not in made for name in node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                waiting.append(node)
        if len(waiting) == len(left):
            raise ModelError(f"the graph {graph.name!r} runs in a circle: it is no network.")
        left = waiting
    copies = [type(node).FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def opset(model: Any) -> int:
    """Returns the version of the standard operators that a graph is written in."""
    return next((int(entry.version) for entry in model.opset_import if not entry.domain), 1)


def rename(graph: Any, names: dict[str, str]) -> None:
    """Renames tensors of a graph and of the graphs inside its nodes, in place.

    Args:
        graph: An ``onnx.GraphProto``.
        names: New name by old name.
    """
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
    """Renames what a graph calls by one of the ``wanted`` names, so that they can be given.

    Returns:
        New name by old name of what was renamed.
    """
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    used |= {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    names = {name: f"{name}.inner" for name in wanted if name in used}
    rename(graph, names)
    return names
