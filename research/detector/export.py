"""Turns trained weights into the ONNX file that the package carries.

``python -m research.detector.export runs/detector/gpu/detector.safetensors --pack PACK -o FOLDER``
writes ``detector.onnx`` (weights stored as float16, computed in float32), says how far it is from
torch, and, with ``--int8``, writes ``detector_int8.onnx``: quantised on training photographs, with
weights of 7 bits, of which no processor's sums overflow, and rearranged for speed. Both take uint8
pixels (1, H, W, 3) to cells (A, 15).
"""

from __future__ import annotations

import argparse
import copy
import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from research.detector.network import OUTPUTS, DetectorNetwork, NetworkConfig
from research.detector.pack import Pack, load_pack
from research.detector.teachers import open_session
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

OPSET = 17
#: Largest difference of a number between torch and ONNX Runtime that an export may show.
PARITY = 2e-3
#: All files of the default together.
MAX_BYTES = 1_000_000
_SHAPES = ((320, 320), (480, 640), (32, 64))


def load_network(path: Path, config: NetworkConfig | None = None) -> DetectorNetwork:
    """Reads trained weights."""
    from safetensors.torch import load_file

    network = DetectorNetwork(config)
    network.load_state_dict(load_file(path))
    return network.eval()


def simplify(network: Any) -> Any:
    """Returns a copy whose batch norms and input scale are folded into the convolutions."""
    plain = copy.deepcopy(network).eval()
    for module in list(plain.modules()):
        for (name, conv), (other, norm) in itertools.pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, torch.nn.utils.fuse_conv_bn_eval(conv, norm))
                setattr(module, other, nn.Identity())
    first = next(m for m in plain.modules() if isinstance(m, nn.Conv2d))
    first.weight.data.mul_(plain.input_scale)
    plain.input_scale = 1.0
    for value in plain.parameters():
        value.data = value.data.half().float()
    return plain


class FromPixels(nn.Module):
    """A network that takes uint8 pixels (1, H, W, 3) to cells (A, 15)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Finds faces."""
        cells: Tensor = self.network(image.permute(0, 3, 1, 2).float())
        return cells[0].T


def trace(network: nn.Module) -> Any:
    """Returns a network as an ONNX model with free height and width: ``image`` to ``cells``.

    One of :class:`FromPixels` has the input and output of that.
    """
    import onnx

    example = torch.zeros(1, 3, 96, 128)
    axes = {"image": {2: "height", 3: "width"}, "cells": {2: "cell"}}
    if isinstance(network, FromPixels):
        example = example.permute(0, 2, 3, 1).byte()
        axes = {"image": {1: "height", 2: "width"}, "cells": {0: "cell"}}
    stream = io.BytesIO()
    torch.onnx.export(
        network, (example,), stream, dynamo=False, opset_version=OPSET,
        input_names=["image"], output_names=["cells"], dynamic_axes=axes,
    )  # fmt: skip
    model = onnx.load_from_string(stream.getvalue())
    dims = model.graph.output[0].type.tensor_type.shape.dim
    dims[1].dim_value = OUTPUTS  # the tracer loses it, and the 1
    if not isinstance(network, FromPixels):
        dims[0].dim_value = 1
    return model


def store_half(model: Any) -> None:
    """Stores all larger float32 weights of an ONNX model as float16, and casts them when loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < 64:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values, name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)


def parity(network: nn.Module, path: Path) -> float:
    """Largest difference between torch and ONNX Runtime, over noise of three sizes.

    ``network`` is one from pixels.
    """
    session = open_session(path)
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width in _SHAPES:
        x = torch.randint(0, 256, (1, height, width, 3), generator=generator, dtype=torch.uint8)
        with torch.inference_mode():
            expected = network(x).numpy()
        found = session.run(None, {"image": x.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def export_onnx(network: DetectorNetwork, path: Path) -> float:
    """Writes the network; returns how far ONNX Runtime is from torch.

    Raises:
        ValueError: If they disagree by more than ``PARITY``.
    """
    import onnx

    plain = FromPixels(simplify(network))
    model = trace(plain)
    store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, path)
    difference = parity(plain, path)
    if not difference <= PARITY:
        raise ValueError(f"{path}: ONNX Runtime and torch disagree by {difference:.2g}.")
    return difference


def export_crop_network(network: Any, path: Path, *, side: int, numbers: int, output: str) -> float:
    """Writes a network that takes crops (N, 3, side, side) to (N, numbers).

    Returns:
        How far ONNX Runtime is from torch.
    """
    import onnx

    plain = simplify(network)
    stream = io.BytesIO()
    torch.onnx.export(
        plain, (torch.zeros(2, 3, side, side),), stream, dynamo=False, opset_version=OPSET,
        input_names=["crops"], output_names=[output],
        dynamic_axes={"crops": {0: "crop"}, output: {0: "crop"}},
    )  # fmt: skip
    model = onnx.load_from_string(stream.getvalue())
    # The tracer loses it.
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = numbers
    store_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, path)
    x = torch.rand(5, 3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        expected = plain(x).numpy()
    found = open_session(path).run(None, {"crops": x.numpy()})[0]
    return float(np.abs(found - expected).max())


def calibration_inputs(pack: Pack, count: int, side: int = 480) -> Iterator[NDArray[np.float32]]:
    """Yields parts (1, 3, side, side) of training photographs, of every source."""
    rng = np.random.default_rng(0)
    for index in rng.choice(np.flatnonzero(~pack.valid), count, replace=False):
        image = pack.image(int(index))
        x = np.zeros((1, 3, side, side), np.float32)
        top = int(rng.integers(max(image.shape[0] - side, 0) + 1))
        left = int(rng.integers(max(image.shape[1] - side, 0) + 1))
        part = image[top : top + side, left : left + side]
        x[0, :, : part.shape[0], : part.shape[1]] = part.transpose(2, 0, 1)
        yield x


def export_int8(network: DetectorNetwork, pack: Pack, path: Path, count: int = 48) -> None:
    """Writes a quantised network; the heads, where a rounding moves a box, stay in float32."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from research.detector.rearrange import rearrange

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.inputs = calibration_inputs(pack, count)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            x = next(self.inputs, None)
            return None if x is None else {"image": x}

    whole = path.with_suffix(".whole.onnx")
    onnx.save_model(trace(simplify(network)), whole)
    quant_pre_process(str(whole), str(whole), skip_symbolic_shape=True)
    heads = [n.name for n in onnx.load(whole).graph.node if n.op_type == "Conv"][-3:]
    names = [n.name for n in onnx.load(whole).graph.node if n.name.startswith("/heads")]
    quantize_static(
        str(whole), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True,
        calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=names or heads,
        op_types_to_quantize=["Conv", "Add", "Relu", "Resize"],
    )  # fmt: skip
    whole.unlink()
    onnx.save_model(rearrange(onnx.load(path)), path)


def main() -> None:
    """Exports from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--pack", type=Path, help="photographs to quantise on")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    network = load_network(args.weights)
    path = args.output / "detector.onnx"
    print(f"parity {export_onnx(network, path):.2g}, {path.stat().st_size:,} bytes")
    if args.int8:
        if args.pack is None:
            parser.error("--int8 needs --pack: photographs to measure the ranges on")
        path = args.output / "detector_int8.onnx"
        export_int8(network, load_pack(args.pack), path)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
