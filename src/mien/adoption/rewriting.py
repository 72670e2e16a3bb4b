"""Rewriting a foreign graph: float32 (N, C, S, S) goes in, ``logits`` (N, K) come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ModelError
from mien.exporting.graph import free_names, import_onnx, strip_traces

if TYPE_CHECKING:
    from mien.adoption.reading import GraphFacts
    from mien.preprocess import Preprocessing

_FLOAT = 1
#: Probabilities below this count as this: the logarithm stays finite.
_SMALLEST = 1e-7
_OPSET = 15


def rewrite(
    model: Any,
    facts: GraphFacts,
    preprocessing: Preprocessing,
    *,
    layout: str,
    bgr: bool = False,
    probabilities: bool = False,
) -> Any:
    """Returns a graph that takes what mien gives and returns what mien reads.

    Args:
        model: The graph as :func:`mien.adoption.reading.read_facts` returns it.
        facts: What was read of it.
        preprocessing: Size S and channels C.
        layout: ``"nchw"`` or ``"nhwc"``: the order the graph wants its pixels in.
        bgr: The graph wants blue first.
        probabilities: Its scores are probabilities: their logarithm is the logits, since the
            softmax of that gives them back.

    Raises:
        ModelError: If the result is no valid graph.
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
    p = preprocessing
    shape = ["N", p.channels, p.size, p.size]
    face = onnx.helper.make_tensor_value_info("input", _FLOAT, shape)
    logits = onnx.helper.make_tensor_value_info("logits", _FLOAT, ["N", None])
    del graph.input[:], graph.output[:]
    graph.input.extend([face, *kept])
    graph.output.append(logits)
    if not any(entry.domain in ("", "ai.onnx") for entry in adopted.opset_import):
        adopted.opset_import.append(onnx.helper.make_opsetid("", _OPSET))
    strip_traces(adopted)
    try:
        onnx.checker.check_model(adopted)
    except onnx.checker.ValidationError as error:
        first = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(f"the graph cannot be rewritten: {first[:300]}") from error
    return adopted


def _constant(onnx: Any, name: str, value: Any) -> Any:
    tensor = onnx.numpy_helper.from_array(np.asarray(value), name)
    return onnx.helper.make_node("Constant", [], [name], value=tensor)


def _before(onnx: Any, facts: GraphFacts, p: Preprocessing, *, layout: str, bgr: bool) -> list[Any]:
    """Writes the nodes from (N, C, S, S) to the graph's own input."""
    make = onnx.helper.make_node
    nodes: list[Any] = []
    last = "input"

    def add(kind: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        name = f"adopt.{kind.lower()}"
        nodes.append(make(kind, [last, *inputs], [name], name=name, **attributes))
        last = name

    if bgr:
        nodes.append(_constant(onnx, "adopt.channels", np.array([2, 1, 0], np.int64)))
        add("Gather", "adopt.channels", axis=1)
    if layout == "nhwc":
        add("Transpose", perm=[0, 2, 3, 1])
    if facts.rank < 4:
        shape = [0, -1] if facts.rank == 2 else [0, p.size, p.size]
        nodes.append(_constant(onnx, "adopt.shape", np.array(shape, np.int64)))
        add("Reshape", "adopt.shape")
    if facts.whole_numbers:
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
    cast = make("Cast", [""], ["adopt.scores"], name="adopt.scores", to=_FLOAT)
    if not probabilities:
        cast.output[0] = "logits"
        return [cast]
    floor = _constant(onnx, "adopt.smallest", np.float32(_SMALLEST))
    above = make("Max", ["adopt.scores", "adopt.smallest"], ["adopt.above"], name="adopt.above")
    return [cast, floor, above, make("Log", ["adopt.above"], ["logits"], name="adopt.log")]
