"""What an ONNX file says of itself: its input, its output, and sometimes its labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, ModelError, suggest
from mien.exporting.graph import read_graph

if TYPE_CHECKING:
    from pathlib import Path

#: How a face lies in the input of a graph. ``flat``: (N, S*S*C); ``plain``: (N, S, S).
LAYOUTS = ("nchw", "nhwc")
_FLOATS = {1: "float32", 10: "float16", 11: "float64"}
_INTEGERS = {2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64"}


@dataclass(frozen=True)
class GraphFacts:
    """What could be read of a graph; None where it does not tell.

    Args:
        input: Name of its input.
        input_type: Element type of the input, ONNX's number.
        rank: Axes of the input: 4 for (N, C, H, W) or (N, H, W, C), 3 for (N, H, W), 2 for
            (N, values).
        layout: ``"nchw"`` or ``"nhwc"``.
        size: Side S of the input.
        channels: 1 or 3.
        output: Name of its scores (N, K).
        labels: Class names that stand in the graph, in the order of the scores.
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

    @property
    def whole_numbers(self) -> bool:
        """Whether the input's type is an integer."""
        return self.input_type in _INTEGERS


def read_facts(path: Path, *, output: str | None = None) -> tuple[Any, GraphFacts]:
    """Reads an ONNX classifier; scikit-learn's maps of probabilities become a tensor.

    Args:
        path: The file.
        output: Name of its scores, where it has several outputs that could be them.

    Returns:
        The ``onnx.ModelProto``, and what could be read of it.

    Raises:
        ModelError: If the file is damaged, or no classifier of one picture.
        ConfigError: If it has several outputs and ``output`` is not one of them.
    """
    model = read_graph(path)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            (
                f"has {len(inputs)} inputs ({', '.join((value.name for value in inputs))}), but "
                "a classifier of faces takes one picture: export it with a single input"
            ),
            subject=path,
        )
    entry = inputs[0].type.tensor_type
    if entry.elem_type not in {**_FLOATS, **_INTEGERS}:
        raise ModelError(
            f"input {inputs[0].name!r} takes no numbers: it is no picture", subject=f"{path}:"
        )
    rank, layout, size, channels = _read_input(path, _sides(entry))
    labels = _unmap(graph)
    name = _scores(path, graph, output)
    return model, GraphFacts(
        inputs[0].name, entry.elem_type, rank, layout, size, channels, name, labels
    )


def _sides(entry: Any) -> list[int | None]:
    return [dim.dim_value if dim.dim_value > 0 else None for dim in entry.shape.dim]


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
        (
            f"its input has {len(sides)} axes; (N, C, H, W), (N, H, W, C), (N, H, W) and "
            "(N, values) can be adopted"
        ),
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
    if len(found) != 1:
        raise (ConfigError if found else ModelError)(
            f"{path} has {len(found)} outputs that could be scores (N, K)"
            + (
                f": type --output-name, one of {', '.join(found)}."
                if found
                else f" (its outputs: {', '.join(value.name for value in graph.output)}): export "
                "the probabilities or logits too."
            )
        )
    return found[0]
