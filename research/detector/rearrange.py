"""Rearranges the quantised first network: the same numbers, in less time.

``python -m research.detector.rearrange quantised.onnx -o detector.onnx`` says by how much the
answers differ, over noise of four sizes; ``export.py --int8`` does it as its last step. What
changes:

* The input is what a photo is, uint8 (1, H, W, 3), not float32 (1, 3, H, W): nobody has to convert
  it, and the first step of the quantised network was to make it uint8 again.
* The first convolution sees four pixels of a row as one of twelve channels, which costs nothing
  where channels come last, and answers for two cells at once. Sums of 72 products, most of whose
  weights are 0, take less than half of the time of twice as many sums of 27.
* Maps are doubled by joining them with themselves, not by ``Resize``, which is slow on uint8.
* The heads are matrix products whose rows are the cells, (A, 15), as whoever reads them wants it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from research.detector.network import OUTPUTS
from research.detector.teachers import open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels of a row that become one, and cells that one such pixel answers for.
PIXELS, CELLS = 4, 2
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_SHAPES = ((96, 128), (480, 640), (32, 32), (64, 32))


class Graph:
    """The nodes and stored arrays of an ONNX model, to be changed in place."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes: list[Any] = list(model.graph.node)
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}

    def array(self, name: str) -> NDArray[Any]:
        """Returns a stored array."""
        return numpy_helper.to_array(self._stored[name])

    def store(self, name: str, values: NDArray[Any]) -> str:
        """Stores an array, in the place of one of that name; returns the name."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        if name in self._stored:
            self._stored[name].CopyFrom(tensor)
        else:
            self.model.graph.initializer.append(tensor)
            self._stored[name] = self.model.graph.initializer[-1]
        return name

    def source(self, value: str) -> Any:
        """Returns the node that makes a value."""
        return next(node for node in self.nodes if value in node.output)

    def users(self, value: str) -> list[Any]:
        """Returns the nodes that read a value."""
        return [node for node in self.nodes if value in node.input]

    def replace(
        self, old: list[Any], new: list[tuple[str, list[str], str, dict[str, Any]]]
    ) -> None:
        """Puts nodes (kind, inputs, output, attributes) in the place of the first of some."""
        at = min(self.nodes.index(node) for node in old)
        self.nodes = [node for node in self.nodes if node not in old]
        self.nodes[at:at] = [
            helper.make_node(kind, inputs, [output], name=f"{kind}:{output}", **attributes)
            for kind, inputs, output, attributes in new
        ]

    def finish(self) -> Any:
        """Returns the model, without what nothing reads and in an order in which it can run."""
        done = {self.model.graph.input[0].name, *self._stored}
        read = {name for node in self.nodes for name in node.input}
        read |= {value.name for value in self.model.graph.output}
        left = [node for node in self.nodes if read & set(node.output)]
        if len(left) < len(self.nodes):
            self.nodes = left
            return self.finish()
        ordered = []
        while left:
            ready = [node for node in left if done >= set(node.input) - {""}]
            ordered += ready
            done |= {name for node in ready for name in node.output}
            left = [node for node in left if node not in ready]
        stored = [tensor for name, tensor in self._stored.items() if name in read]
        graph = self.model.graph
        for part, values in ((graph.node, ordered), (graph.initializer, stored)):
            copies = [type(value).FromString(value.SerializeToString()) for value in values]
            del part[:]
            part.extend(copies)
        del graph.value_info[:]
        onnx.checker.check_model(self.model, full_check=True)
        return self.model


def take_pixels(graph: Graph) -> None:
    """Makes the input uint8 (1, H, W, 3), and the first convolution one of groups of pixels."""
    image = graph.model.graph.input[0]
    (quantize,) = graph.users(image.name)
    scale, zero = (graph.array(name) for name in quantize.input[1:])
    if (float(scale), int(zero), zero.dtype) != (1.0, 0, np.uint8):
        raise ValueError(f"the input must be quantised as it is, not from {scale} and {zero}.")
    image.CopyFrom(
        helper.make_tensor_value_info(image.name, TensorProto.UINT8, [1, "height", "width", 3])
    )
    shape = graph.store("image_groups", np.array([0, 0, -1, 3 * PIXELS], np.int64))
    graph.replace(
        [quantize],
        [
            ("Reshape", [image.name, shape], "image_grouped", {}),
            ("Transpose", ["image_grouped"], quantize.output[0], {"perm": _TO_FIRST}),
        ],
    )
    (dequantize,) = graph.users(quantize.output[0])
    (conv,) = graph.users(dequantize.output[0])
    weight, bias = (graph.source(name) for name in conv.input[1:])
    channels = len(graph.array(weight.input[0]))
    for name in {*weight.input[1:], *bias.input}:
        graph.store(name, np.tile(graph.array(name), CELLS))
    graph.store(weight.input[0], group_weights(graph.array(weight.input[0])))
    del conv.attribute[:]
    for name, value in {
        "kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 0, 0], "dilations": [1, 1],
        "group": 1,
    }.items():  # fmt: skip
        conv.attribute.append(helper.make_attribute(name, value))
    (quantize,) = graph.users(conv.output[0])
    one = quantize.output[0]
    quantize.output[0] = f"{one}_grouped"
    (reader,) = graph.users(one)
    shape = graph.store("stem_groups", np.array([0, 0, -1, channels], np.int64))
    graph.replace(
        [reader],
        [
            ("Transpose", [f"{one}_grouped"], f"{one}_last", {"perm": _TO_LAST}),
            ("Reshape", [f"{one}_last", shape], f"{one}_cells", {}),
            ("Transpose", [f"{one}_cells"], one, {"perm": _TO_FIRST}),
            (reader.op_type, list(reader.input), reader.output[0], {}),
        ],
    )


def group_weights(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Returns the weights of the same convolution over groups of pixels.

    ``weight`` (O, 3, 3, 3) is one of stride 2, padded by a pixel: cell ``x`` sees the pixels
    ``2x - 1`` to ``2x + 1``. The result (2 O, 12, 3, 2) is one of stride 2 down and 1 across, over
    groups of four pixels, padded by a row above and a group before: its first O channels are the
    even cells, the others the odd ones.
    """
    outputs, inputs, rows, columns = weight.shape
    grouped = np.zeros((CELLS, outputs, PIXELS, inputs, rows, 2), weight.dtype)
    for cell in range(CELLS):
        for column in range(columns):
            group, pixel = divmod(2 * cell + column - 1 + PIXELS, PIXELS)
            grouped[cell, :, pixel, :, :, group] = weight[..., column]
    return grouped.reshape(CELLS * outputs, PIXELS * inputs, rows, 2)


def double_by_joining(graph: Graph) -> None:
    """Puts copies in the place of each ``Resize`` by 2, nearest: of uint8 maps, channels last."""
    for number, resize in enumerate([n for n in graph.nodes if n.op_type == "Resize"]):
        dequantize = graph.source(resize.input[0])
        (quantize,) = graph.users(resize.output[0])
        if list(dequantize.input[1:]) != list(quantize.input[1:]):
            raise ValueError(f"{resize.name} changes the scale of its map.")
        lateral = graph.source(graph.source(dequantize.input[0]).input[0])
        while lateral.op_type != "Conv":
            lateral = graph.source(lateral.input[0])
        channels = len(graph.array(graph.source(lateral.input[1]).input[0]))
        wide = graph.store("double_width", np.array([0, 0, -1, channels], np.int64))
        rows = graph.store("rows", np.array([1, -1], np.int64))
        last = graph.store("channels", np.array([channels], np.int64))
        part = f"doubled_{number}"
        graph.replace(
            [resize, quantize],
            [
                ("Transpose", [dequantize.input[0]], f"{part}_last", {"perm": _TO_LAST}),
                ("Concat", [f"{part}_last"] * 2, f"{part}_pairs", {"axis": 3}),
                ("Reshape", [f"{part}_pairs", wide], f"{part}_across", {}),
                ("Concat", [f"{part}_across"] * 2, f"{part}_rows", {"axis": 2}),
                ("Shape", [f"{part}_across"], f"{part}_width", {"start": 2, "end": 3}),
                ("Concat", [rows, f"{part}_width", last], f"{part}_shape", {"axis": 0}),
                ("Reshape", [f"{part}_rows", f"{part}_shape"], f"{part}_both", {}),
                ("Transpose", [f"{part}_both"], quantize.output[0], {"perm": _TO_FIRST}),
            ],
        )


def answer_by_rows(graph: Graph) -> None:
    """Makes each head a matrix product, and the output (A, 15)."""
    output = graph.model.graph.output[0]
    join = graph.source(output.name)
    parts = []
    for number, name in enumerate(join.input):
        conv = graph.source(graph.source(name).input[0])
        dequantize = graph.source(conv.input[0])
        weight = graph.array(conv.input[1])[:, :, 0, 0]
        matrix = graph.store(f"{conv.input[1]}_rows", weight.T)
        shape = graph.store("map_rows", np.array([-1, weight.shape[1]], np.int64))
        part = f"head_{number}"
        graph.replace(
            [graph.source(name)],
            [
                ("Transpose", [dequantize.input[0]], f"{part}_last", {"perm": _TO_LAST}),
                ("Reshape", [f"{part}_last", shape], f"{part}_rows", {}),
                ("DequantizeLinear", [f"{part}_rows", *dequantize.input[1:]], f"{part}_map", {}),
                ("Gemm", [f"{part}_map", matrix, conv.input[2]], f"{part}_cells", {}),
            ],
        )
        parts.append(f"{part}_cells")
    graph.replace([join], [("Concat", parts, output.name, {"axis": 0})])
    output.CopyFrom(
        helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["cell", OUTPUTS])
    )


def rearrange(model: Any) -> Any:
    """Returns the quantised network, ``image`` float32 (1, 3, H, W) to ``cells`` (1, 15, A), anew.

    The result takes ``image`` uint8 (1, H, W, 3) to ``cells`` (A, 15).

    Raises:
        ValueError: If it is quantised in another way than ``export.py`` does it.
    """
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    graph = Graph(copy)
    take_pixels(graph)
    double_by_joining(graph)
    answer_by_rows(graph)
    return graph.finish()


def difference(before: Path, after: Path) -> float:
    """Largest difference between the two networks' numbers, over noise of four sizes."""
    old, new = open_session(before), open_session(after)
    rng = np.random.default_rng(0)
    worst = 0.0
    for height, width in _SHAPES:
        pixels = rng.integers(0, 256, (1, height, width, 3)).astype(np.uint8)
        x = pixels.transpose(0, 3, 1, 2).astype(np.float32)
        expected = old.run(None, {"image": x})[0][0].T
        worst = max(worst, float(np.abs(new.run(None, {"image": pixels})[0] - expected).max()))
    return worst


def main() -> None:
    """Rearranges from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    onnx.save_model(rearrange(onnx.load(args.network)), args.output)
    away = difference(args.network, args.output)
    print(f"{args.output}: {args.output.stat().st_size:,} bytes, {away:.2g} from the one before")


if __name__ == "__main__":
    main()
