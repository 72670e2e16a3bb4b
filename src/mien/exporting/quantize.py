"""Smaller numbers: float16, and int8 with ranges that are measured ahead or at each run.

Quantised networks are made from the float32 graph with its batch norms folded. Weights are signed
bytes, one scale per channel; activations unsigned bytes, the pair that VNNI multiplies fastest.
The ways to choose an activation's range are those of ONNX Runtime: its extremes (``minmax``), the
range that loses least information (``entropy``, Migacz 2017), or a share of all values
(``percentile``).
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError, ModelError, suggest
from mien.exporting.graph import import_onnx, sort_nodes, strip_traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        half = convert_float_to_float16(_copy(model), keep_io_types=True)
    # The converter appends its casts at the end; a graph is stored in the order it runs in.
    sort_nodes(half.graph)
    strip_traces(half)
    return half


def to_int8_dynamic(model: Any) -> Any:
    """Returns the graph with int8 weights and activations whose range is taken at each run.

    It needs no faces. Convolutions are slow in it on most CPUs; linear layers gain.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def convert(source: Path, target: Path) -> None:
        # ONNX Runtime's ConvInteger takes unsigned weights only.
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8)

    return _through_files(model, convert)


def to_int8_static(
    model: Any,
    batch: NDArray[np.float32],
    *,
    method: str = "minmax",
    float_ends: bool = False,
    reduce_range: bool = False,
) -> Any:
    """Returns the graph in QDQ form: int8 by channel, ranges measured on faces.

    Args:
        model: Float32 graph, batch norms folded.
        batch: Training faces as the network takes them, (N, C, S, S); some hundreds are enough.
        method: ``"minmax"``, ``"entropy"`` or ``"percentile"``.
        float_ends: Keep the first and the last layer in float32.
        reduce_range: Weights of 7 bits, whose sums do not saturate on CPUs without VNNI.

    Raises:
        ConfigError: If the method is unknown.
        ModelError: If the graph has nothing to quantise or there are no faces.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if method not in CALIBRATIONS:
        raise ConfigError(f"no calibration method {method!r}." + suggest(method, CALIBRATIONS))
    layers = [node.name for node in model.graph.node if node.op_type in _LAYERS]
    if not layers or not len(batch):
        raise ModelError(
            f"int8-static needs layers to quantise and faces to measure; got {len(layers)} "
            f"layers, {len(batch)} faces."
        )
    reader = _Faces(model.graph.input[0].name, batch)

    def convert(source: Path, target: Path) -> None:
        quantize_static(
            source,
            target,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[layers[0], layers[-1]] if float_ends else [],
            calibrate_method=CalibrationMethod[CALIBRATIONS[method]],
            # Ranges are merged chunk by chunk, whatever the method: the name is historical.
            extra_options={"CalibStridedMinMax": 1},
        )

    return _through_files(model, convert)


class _Faces:
    """Feeds a calibrator; the methods are those of ONNX Runtime's ``CalibrationDataReader``."""

    def __init__(self, name: str, batch: NDArray[np.float32]) -> None:
        self._feeds = [
            {name: batch[start : start + _CHUNK]} for start in range(0, len(batch), _CHUNK)
        ]
        self.set_range(0, len(self._feeds))

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._left, None)


def _copy(model: Any) -> Any:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _through_files(model: Any, convert: Any) -> Any:
    """Runs one of ONNX Runtime's converters, which go from file to file and talk to stdout."""
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    onnx = import_onnx()
    prepared = _copy(model)
    add_pre_process_metadata(prepared)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(prepared, source)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                convert(source, target)
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise ModelError(f"ONNX Runtime cannot quantise this network: {error}") from error
        quantized = onnx.load(target)
    strip_traces(quantized)
    return quantized


def logit_error(reference: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Returns the mean absolute difference of logits (N, K), by which calibrations are compared.

    >>> logit_error(np.float32([[1, 2]]), np.float32([[1, 4]]))
    1.0
    """
    return float(np.abs(np.subtract(reference, other, dtype=np.float64)).mean())


def best_calibration(errors: Sequence[tuple[str, float]]) -> str:
    """Returns the method of the smallest error; of equal ones the first.

    >>> best_calibration([("minmax", 0.2), ("entropy", 0.1)])
    'entropy'
    """
    return min(errors, key=lambda entry: entry[1])[0]
