"""One ONNX graph out of several: each member's preprocessing, the members, and their mixture.

The input is that of the ensemble (see :func:`shared_preprocessing`). Members that ask for another
size, colour or normalisation get it inside the graph: ``Resize`` with antialiasing, ITU-R 601 luma
and the member's own arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.ensembles.members import log_ratio
from mien.ensembles.mixing import FLOOR, Mixture
from mien.errors import ModelError, first_line
from mien.exporting.graph import GraphWriter, import_onnx, opset, read_graph, strip_traces
from mien.hub import ONNX, ModelFolder
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.arrays import F64


#: Least version of the standard operators: ``Resize`` antialiases since 18.
_OPSET = 18
_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def shared_preprocessing(parts: Sequence[Preprocessing]) -> Preprocessing:
    """Returns the input of an ensemble: the members' own where they agree.

    Else it is the largest size, the richest colour, scaled to 0..1, and crops are scaled as for the
    first of the largest members.
    """
    if len(set(parts)) == 1:
        return parts[0]
    color = "rgb" if any(part.color == "rgb" for part in parts) else "gray"
    channels = 3 if color == "rgb" else 1
    largest = max(parts, key=lambda part: part.size)
    return Preprocessing(
        size=largest.size, color=color, interpolation=largest.interpolation,
        normalization="fixed", mean=(0.0,) * channels, std=(1.0,) * channels, align=parts[0].align,
    )  # fmt: skip


def _to_member(
    writer: GraphWriter, pixels: str, shared: Preprocessing, own: Preprocessing, version: int
) -> str:
    """Turns whole pixel values 0..255 of the ensemble's input into a member's input."""
    x = pixels
    if shared.color == "rgb" and own.color == "gray":
        # Pillow's integer luma, exact in float32: (19595 R + 38470 G + 7471 B + 32768) >> 16.
        weights = np.array([19595, 38470, 7471]).reshape(1, 3, 1, 1)
        summed = writer.add(
            "ReduceSum", writer.add("Mul", x, writer.constant(weights)),
            writer.constant([1], np.int64), keepdims=1,
        )  # fmt: skip
        moved = writer.add("Add", summed, writer.constant(32768.0))
        x = writer.add("Floor", writer.add("Div", moved, writer.constant(65536.0)))
    if own.size != shared.size:
        x = writer.add(
            "Resize", x, "", "", writer.constant([own.size, own.size], np.int64), axes=[2, 3],
            mode=_MODES[own.interpolation], antialias=1, cubic_coeff_a=-0.5,
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        bounds = writer.constant(0.0), writer.constant(255.0)
        x = writer.add("Round", writer.add("Clip", x, *bounds))
    return writer.normalize(x, own, version)


def _mix(writer: GraphWriter, log_probs: str, mixture: Mixture) -> None:
    """Adds ``logits`` (N, K) of the log-probabilities (N, M, K) of the members that count."""
    if mixture.coefficients is not None and mixture.intercept is not None:
        flat = writer.add("Flatten", writer.add("Max", log_probs, writer.constant(FLOOR)), axis=1)
        weights = writer.constant(mixture.coefficients)
        bias = writer.constant(mixture.intercept)
        writer.add("Gemm", flat, weights, bias, output="logits", transB=1)
        return
    shares = writer.constant(np.log(mixture.weights).reshape(1, -1, 1))
    weighed = writer.add("Add", log_probs, shares)
    axis = writer.constant([1], np.int64)
    # The shift by the largest keeps a face finite of which every member is sure.
    largest = writer.add("ReduceMax", weighed, axis, keepdims=1)
    total = writer.add(
        "ReduceSum", writer.add("Exp", writer.add("Sub", weighed, largest)), axis, keepdims=0
    )
    writer.add(
        "Add", writer.add("Log", total), writer.add("Squeeze", largest, axis), output="logits"
    )


def merge_graphs(
    members: Sequence[ModelFolder],
    shared: Preprocessing,
    shares: F64 | None,
    mixture: Mixture | None = None,
) -> Any:
    """Builds the graph of an ensemble of M folders: (N, C, S, S) becomes ``logits`` (N, K).

    Without a mixture the output is ``log_probs`` (N, M, K), the members' calibrated
    log-probabilities for the ``shares`` of :func:`mien.ensembles.members.common_shares`; the
    weights of a mixture are all above 0.
    """
    onnx, writer = import_onnx(), GraphWriter("mix.")
    helper, tensor = onnx.helper, onnx.helper.make_tensor_value_info
    graphs = [_prefixed(folder, f"m{index}.") for index, folder in enumerate(members)]
    version = max(_OPSET, *(opset(graph) for graph in graphs))
    graphs = [_at_opset(graph, version, members[i]) for i, graph in enumerate(graphs)]
    M, K = len(members), len(members[0].config.schema)
    pixels = "input"
    if any(folder.config.preprocessing != shared for folder in members):
        pixels = writer.add("Round", writer.add("Mul", "input", writer.constant(255.0)))
    for folder, graph in zip(members, graphs, strict=True):
        own = folder.config.preprocessing
        made = "input" if own == shared else _to_member(writer, pixels, shared, own, version)
        writer.add("Identity", made, output=graph.graph.input[0].name)
    before, rows = len(writer.nodes), []
    for index, folder in enumerate(members):
        heat = writer.constant(folder.config.temperature)
        scaled = writer.add("Div", f"m{index}.logits", heat)
        if (ratio := log_ratio(folder.config, shares)) is not None:
            scaled = writer.add("Add", scaled, writer.constant(ratio))
        logs = writer.add("LogSoftmax", scaled, axis=1)
        rows.append(writer.add("Unsqueeze", logs, writer.constant([1], np.int64)))
    name, shape = "log_probs", ["N", M, K]
    writer.add("Concat", *rows, output=name, axis=1)
    if mixture is not None:
        _mix(writer, name, mixture)
        name, shape = "logits", ["N", K]
    inner, kind = [graph.graph for graph in graphs], onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [*writer.nodes[:before], *(n for part in inner for n in part.node), *writer.nodes[before:]],
        "ensemble",
        [tensor("input", kind, ["N", shared.channels, shared.size, shared.size])],
        [tensor(name, kind, shape)],
        [*writer.constants, *(tensor for part in inner for tensor in part.initializer)],
    )
    domains = {e.domain: e.version for g in graphs for e in g.opset_import} | {"": version}
    model = helper.make_model(
        graph,
        functions=[function for part in graphs for function in part.functions],
        opset_imports=[helper.make_opsetid(domain, v) for domain, v in domains.items()],
        ir_version=max(10, *(part.ir_version for part in graphs)),
        producer_name="mien",
    )
    strip_traces(model)
    onnx.checker.check_model(model)
    return model


def _prefixed(folder: ModelFolder, prefix: str) -> Any:
    """Reads a member's network; every name in it, but for its operators, gets a prefix."""
    onnx = import_onnx()
    model = read_graph(folder.file(ONNX))
    names = [value.name for value in model.graph.output]
    if len(model.graph.input) != 1 or "logits" not in names:
        reason = "its network has no output 'logits': export it again"
        raise ModelError(reason, subject=f"{folder.path}:")
    return onnx.compose.add_prefix(model, prefix)


def _at_opset(model: Any, version: int, folder: ModelFolder) -> Any:
    if opset(model) == version:
        return model
    onnx = import_onnx()
    try:
        return onnx.version_converter.convert_version(model, version)
    except Exception as error:  # the converter's exceptions share no base
        reason = (
            f"is written in version {opset(model)} of the ONNX operators and cannot be brought "
            f"to {version}, which the ensemble needs: {first_line(error)[:200]}"
        )
        raise ModelError(reason, subject=folder.path, hint="Export it again.") from error
