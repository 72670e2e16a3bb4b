"""The graph of a foreign classifier: what it says of itself, and how it is rewritten for mien."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError, ModelError, first_line, suggest
from mien.exporting.graph import free_names, import_onnx, read_graph, strip_traces

if TYPE_CHECKING:
    from pathlib import Path

    from mien.preprocess import Preprocessing

_FLOAT = 1
#: Probabilities below this count as this: the logarithm stays finite.
_SMALLEST = 1e-7
_OPSET = 15
#: How a face lies in the input of a graph: (N, C, S, S) or (N, S, S, C).
LAYOUTS = ("nchw", "nhwc")
_FLOATS = {1: "float32", 10: "float16", 11: "float64"}
_INTEGERS = {2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64"}


@dataclass(frozen=True)
class GraphFacts:
    """What could be read of a graph: input, its ONNX type number, axes, scores (N, K) and labels.

    ``rank`` is 4 for pictures with channels (``layout`` is ``"nchw"`` or ``"nhwc"``), 3 for
    (N, H, W), 2 for (N, values). None is what the graph does not tell.
    """

    input: str
    input_type: int
    rank: int
    layout: str | None
    size: int | None
    channels: int | None
    output: str
    labels: tuple[str, ...] | None = None

    @property
    def takes_bytes(self) -> bool:
        """Whether pixels go in as they are, 0..255: the input's type is uint8."""
        return self.input_type == 2


def read_facts(path: Path, *, output: str | None = None) -> tuple[Any, GraphFacts]:
    """Reads an ONNX classifier as a model; scikit-learn's maps of probabilities become a tensor.

    ``output`` names its scores, where it has several outputs that could be them.
    """
    model = read_graph(path)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"has {len(inputs)} inputs ({', '.join(value.name for value in inputs)}), but a "
            "classifier of faces takes one picture: export it with a single input",
            subject=path,
        )
    entry = inputs[0].type.tensor_type
    if entry.elem_type not in {**_FLOATS, **_INTEGERS}:
        reason = f"input {inputs[0].name!r} takes no numbers: it is no picture"
        raise ModelError(reason, subject=f"{path}:")
    sides = [dim.dim_value if dim.dim_value > 0 else None for dim in entry.shape.dim]
    shape = _read_input(path, sides)
    labels = _unmap(graph)
    name = _scores(path, graph, output)
    return model, GraphFacts(inputs[0].name, entry.elem_type, *shape, name, labels)


def _read_input(
    path: Path, sides: list[int | None]
) -> tuple[int, str | None, int | None, int | None]:
    """Returns rank, layout, size and channels of an input, as far as its shape tells."""
    if len(sides) == 4:
        first, height, width, last = sides[1], sides[2], sides[3], sides[3]
        if first in (1, 3) and (height == width or None in (height, width)):
            return 4, "nchw", height or width, first
        if last in (1, 3):
            return 4, "nhwc", sides[1] or sides[2], last
        return 4, None, None, None
    if len(sides) == 3:
        return 3, "nchw", sides[1] or sides[2], 1
    if len(sides) == 2:
        values = sides[1]
        for channels in (1, 3):
            side = math.isqrt((values or 0) // channels)
            if values and side * side * channels == values:
                return 2, "nchw" if channels == 1 else None, side, channels
        if values:
            raise ModelError(
                f"takes {values} values per face, which is no square picture of 1 or 3 channels: "
                "it was trained on something else than pixels",
                subject=path,
            )
        return 2, None, None, None
    raise ModelError(
        f"its input has {len(sides)} axes; (N, C, H, W), (N, H, W, C), (N, H, W) and (N, values) "
        "can be adopted",
        subject=f"{path}:",
    )


def _unmap(graph: Any) -> tuple[str, ...] | None:
    """Takes ZipMap nodes out, in place; returns class names where nodes carry them."""
    names: tuple[str, ...] | None = None
    for node in list(graph.node):
        for attribute in node.attribute:
            if attribute.name == "classlabels_strings" and attribute.strings:
                names = tuple(text.decode("utf-8") for text in attribute.strings)
        if node.op_type == "ZipMap":
            for value in graph.output:
                if value.name == node.output[0]:
                    value.name = node.input[0]
                    value.type.Clear()
                    value.type.tensor_type.elem_type = 1
            graph.node.remove(node)
    return names


def _scores(path: Path, graph: Any, wanted: str | None) -> str:
    """Returns the name of the output that holds the scores."""
    found: list[str] = [
        value.name
        for value in graph.output
        if value.type.tensor_type.elem_type in _FLOATS
        and len(value.type.tensor_type.shape.dim) in (0, 2)
    ]
    if wanted is not None:
        if wanted not in found:
            raise ConfigError(f"{path} has no scores named {wanted!r}." + suggest(wanted, found))
        return wanted
    if len(found) > 1 and "logits" in found:
        return "logits"
    if len(found) > 1:
        raise ConfigError(
            f"{path} has {len(found)} outputs that could be scores (N, K): type --output-name, one "
            f"of {', '.join(found)}."
        )
    if not found:
        names = ", ".join(value.name for value in graph.output)
        raise ModelError(
            f"{path} has 0 outputs that could be scores (N, K) (its outputs: {names}): export the "
            "probabilities or logits too."
        )
    return found[0]


def rewrite(
    model: Any,
    facts: GraphFacts,
    preprocessing: Preprocessing,
    *,
    layout: str,
    bgr: bool = False,
    probabilities: bool = False,
) -> Any:
    """Returns a graph that takes float32 (N, C, S, S) as ``input`` and gives ``logits`` (N, K).

    ``layout`` is how the graph wants its pixels, ``"nchw"`` or ``"nhwc"``. The logits of
    ``probabilities`` are their logarithm, since the softmax of that gives them back.
    """
    onnx = import_onnx()
    adopted = type(model)()
    adopted.CopyFrom(model)
    graph = adopted.graph
    names = free_names(graph, ("input", "logits"))
    before = _before(onnx, facts, preprocessing, layout=layout, bgr=bgr)
    before[-1].output[0] = names.get(facts.input, facts.input)
    after = _after(onnx, probabilities=probabilities)
    after[0].input[0] = names.get(facts.output, facts.output)
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    constants = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name in constants]
    p, make_value = preprocessing, onnx.helper.make_tensor_value_info
    face = make_value("input", _FLOAT, ["N", p.channels, p.size, p.size])
    del graph.input[:], graph.output[:]
    graph.input.extend([face, *kept])
    graph.output.append(make_value("logits", _FLOAT, ["N", None]))
    if not any(entry.domain in ("", "ai.onnx") for entry in adopted.opset_import):
        adopted.opset_import.append(onnx.helper.make_opsetid("", _OPSET))
    strip_traces(adopted)
    try:
        onnx.checker.check_model(adopted)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the graph cannot be rewritten: {first_line(error)}") from error
    return adopted


def _constant(onnx: Any, name: str, value: Any) -> Any:
    tensor = onnx.numpy_helper.from_array(np.asarray(value), name)
    return onnx.helper.make_node("Constant", [], [name], value=tensor)


def _before(onnx: Any, facts: GraphFacts, p: Preprocessing, *, layout: str, bgr: bool) -> list[Any]:
    """Writes the nodes from (N, C, S, S) to the graph's own input."""
    nodes: list[Any] = []

    def add(kind: str, constant: list[int] | None = None, **attributes: Any) -> None:
        name = f"adopt.{kind.lower()}"
        inputs = [nodes[-1].output[0] if nodes else "input"]
        if constant is not None:
            inputs.append(f"{name}.by")
            nodes.append(_constant(onnx, inputs[1], np.array(constant, np.int64)))
        nodes.append(onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))

    if bgr:
        add("Gather", [2, 1, 0], axis=1)
    if layout == "nhwc":
        add("Transpose", perm=[0, 2, 3, 1])
    if facts.rank < 4:
        add("Reshape", [0, -1] if facts.rank == 2 else [0, p.size, p.size])
    if facts.input_type in _INTEGERS:
        # Normalisation leaves whole numbers a rounding error away, and a cast cuts.
        add("Round")
    if facts.input_type != _FLOAT:
        add("Cast", to=facts.input_type)
    if not nodes:
        add("Identity")
    return nodes


def _after(onnx: Any, *, probabilities: bool) -> list[Any]:
    """Writes the nodes from the graph's scores to ``logits``."""
    make = onnx.helper.make_node
    end = "adopt.scores" if probabilities else "logits"
    cast = make("Cast", [""], [end], name="adopt.scores", to=_FLOAT)
    if not probabilities:
        return [cast]
    floor = _constant(onnx, "adopt.smallest", np.float32(_SMALLEST))
    above = make("Max", ["adopt.scores", "adopt.smallest"], ["adopt.above"], name="adopt.above")
    return [cast, floor, above, make("Log", ["adopt.above"], ["logits"], name="adopt.log")]
