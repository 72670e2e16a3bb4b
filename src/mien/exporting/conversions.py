"""A network in other forms: float16, int8, other engines, and with its preprocessing inside.

Quantised networks are made from the float32 graph with its batch norms folded. Weights are signed
bytes, one scale per channel; activations unsigned bytes, the pair that VNNI multiplies fastest. The
last layer, which costs next to nothing, stays in float32: the logits follow exactly from the
features, which class-activation maps rest on.
The ways to choose an activation's range are those of ONNX Runtime: its extremes (``minmax``), the
range that loses least information (``entropy``, Migacz 2017), or a share of all values
(``percentile``).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import quiet
from mien.backends import Backend, Outputs
from mien.backends.torch import load_network
from mien.errors import ConfigError, ModelError, needs_extra, suggest
from mien.exporting.graph import GraphWriter, free_names, import_onnx, opset, strip_traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.arrays import F32
    from mien.hub import ModelConfig, ModelFolder

#: Ways to choose the range of an activation, and ONNX Runtime's names for them.
CALIBRATIONS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
#: Faces whose activations are held in memory at once while ranges are measured.
_CHUNK = 16
_LAYERS = ("Conv", "Gemm", "MatMul")


def to_half(model: Any) -> Any:
    """Returns the graph in float16, inputs and outputs still float32.

    ONNX Runtime computes it on GPUs as it is and widens it at load on most CPUs: there it saves
    disk, not time. Values beyond half precision are cut to its range.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with quiet("onnxruntime"):
        half = convert_float_to_float16(_copy(model), keep_io_types=True)
    # The converter appends its casts at the end; a graph is stored in the order it runs in.
    OnnxModel.graph_topological_sort(half.graph)
    strip_traces(half)
    return half


def to_int8_dynamic(model: Any) -> Any:
    """Returns the graph with int8 weights and activations whose range is taken at each run.

    It needs no faces. Convolutions are slow in it on most CPUs; linear layers gain.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ONNX Runtime's ConvInteger takes unsigned weights only.
    return _through_files(model, quantize_dynamic, weight_type=QuantType.QUInt8)


def to_int8_static(
    model: Any,
    batch: F32,
    *,
    method: str = "minmax",
    float_first: bool = False,
    reduce_range: bool = False,
) -> Any:
    """Returns the graph in QDQ form: int8 by channel, ranges measured on faces (N, C, S, S).

    Some hundreds of faces are enough. ``float_first`` keeps the first layer in float32, too;
    ``reduce_range`` makes weights of 7 bits, whose sums do not saturate without VNNI.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if method not in CALIBRATIONS:
        raise ConfigError(f"no calibration method {method!r}." + suggest(method, CALIBRATIONS))
    layers = [node.name for node in model.graph.node if node.op_type in _LAYERS]
    if len(layers) < 2 or not len(batch):
        raise ModelError(
            f"int8-static needs layers before the last to quantise and faces to measure; got "
            f"{len(layers)} layers in all, {len(batch)} faces."
        )
    return _through_files(
        model,
        quantize_static,
        calibration_data_reader=_Faces(model.graph.input[0].name, batch),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[layers[-1], *layers[: int(float_first)]],
        calibrate_method=CalibrationMethod[CALIBRATIONS[method]],
        # Ranges are merged chunk by chunk, whatever the method: the name is historical.
        extra_options={"CalibStridedMinMax": 1},
    )


class _Faces:
    """Feeds a calibrator; the methods are those of ONNX Runtime's ``CalibrationDataReader``."""

    def __init__(self, name: str, batch: F32) -> None:
        parts = np.split(batch, range(_CHUNK, len(batch), _CHUNK))
        self._feeds = [{name: part} for part in parts]
        self.set_range(0, len(self._feeds))

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, F32] | None:
        return next(self._left, None)


def _copy(model: Any) -> Any:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _through_files(model: Any, convert: Callable[..., object], **options: Any) -> Any:
    """Runs one of ONNX Runtime's converters, which go from file to file and talk to stdout."""
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    onnx = import_onnx()
    prepared = _copy(model)
    add_pre_process_metadata(prepared)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(prepared, source)
        try:
            with quiet("onnxruntime"):
                convert(source, target, **options)
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise ModelError(f"ONNX Runtime cannot quantise this network: {error}") from error
        quantized = onnx.load(target)
    strip_traces(quantized)
    return quantized


def embed_preprocessing(model: Any, config: ModelConfig) -> Any:
    """Returns a network with its preprocessing, temperature, own prior and softmax inside.

    It takes ``faces``, uint8 (N, S, S, C), and gives ``probs``, float32 (N, K). Labels, size and
    colour stand in its metadata, so that one file is all that another program or language needs.
    """
    onnx, whole, p = import_onnx(), _copy(model), config.preprocessing
    graph = whole.graph
    free_names(graph, ("faces", "probs"))
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constants]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 1 or "logits" not in outputs:
        raise ModelError(
            f"a network with one input and an output 'logits' is needed; this one has inputs "
            f"{inputs} and outputs {outputs}."
        )
    before, after = GraphWriter("mien.before."), GraphWriter("mien.after.")
    pixels = before.add("Cast", before.add("Transpose", "faces", perm=[0, 3, 1, 2]), to=1)
    before.normalize(pixels, p, opset(whole), output=inputs[0])
    scaled = after.add("Div", "logits", after.constant(config.temperature))
    if config.prior is not None and (ratio := config.prior.log_ratio()) is not None:
        scaled = after.add("Add", scaled, after.constant(ratio))
    after.add("Softmax", scaled, output="probs", axis=1)
    nodes = [*before.nodes, *graph.node, *after.nodes]
    kept = [value for value in graph.input if value.name in constants]
    tensor, types = onnx.helper.make_tensor_value_info, onnx.TensorProto
    faces = tensor("faces", types.UINT8, ["N", p.size, p.size, p.channels])
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.extend([faces, *kept])
    graph.output.append(tensor("probs", types.FLOAT, ["N", len(config.schema)]))
    graph.initializer.extend([*before.constants, *after.constants])
    said = {"size": str(p.size), "color": p.color, "model": config.name, "license": config.license}
    said["labels"] = json.dumps(list(config.schema.labels))
    onnx.helper.set_model_props(whole, said)
    onnx.checker.check_model(whole)
    return whole


def save_openvino(model: Any, path: Path) -> list[Path]:
    """Writes a float32 graph as OpenVINO's ``.xml`` and ``.bin``, weights as float16."""
    with needs_extra("--format openvino", "openvino"):
        import openvino
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        import_onnx().save_model(model, source)
        try:
            converted = openvino.convert_model(source)
            openvino.save_model(converted, path, compress_to_fp16=True)
        except Exception as error:  # OpenVINO's exceptions share no base of their own
            last = ([line for line in str(error).splitlines() if line] or ["no reason given"])[-1]
            raise ModelError(f"OpenVINO cannot take this network: {last[:300]}") from error
    return [path, path.with_suffix(".bin")]


def save_torch_export(folder: ModelFolder, path: Path) -> list[Path]:
    """Writes the network as a ``torch.export`` program with a free batch size.

    It is for ExecuTorch, AOTInductor and their like; mien itself runs ``model.safetensors``.
    """
    network = load_network(folder)
    import torch

    p = folder.config.preprocessing
    sample = torch.zeros(2, p.channels, p.size, p.size)
    batch = torch.export.Dim("N", min=1)
    program = torch.export.export(network, (sample,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return [path]


class TorchExportBackend(Backend):
    """Runs a ``torch.export`` program (``.pt2``) that was just written, to compare it."""

    name = "torch-export"

    def __init__(self, path: Path) -> None:
        import torch

        self._network = torch.export.load(path).module()

    def run(self, batch: F32, *, features: bool = False) -> Outputs:  # noqa: ARG002
        """Runs float32 (N, C, S, S); a program has no feature map."""
        import torch

        with torch.inference_mode():
            return Outputs(self._network(torch.from_numpy(batch)).numpy(), None)
