"""ONNX Runtime; and OpenVINO, for its own files, behind the same session."""

from __future__ import annotations

import copy
import functools
import platform
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien._image_guard import guess_content
from mien.backends import Outputs
from mien.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.hub import ModelConfig


def open_session(path: Path, *, threads: int = 0) -> Any:
    """Opens a network on the CPU: an ONNX file, or OpenVINO's ``.xml`` with its ``.bin``.

    Args:
        path: The file.
        threads: Threads inside one operator; 0: as many as there are cores.

    Raises:
        ModelError: If the file is missing, damaged, or no network.
        MissingExtraError: If it is OpenVINO's and OpenVINO is not installed.
    """
    if path.suffix == ".xml":
        return _OpenVinoSession(path, threads)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Idle threads sleep instead of spinning: decoding and detection use the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        first = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"{path} cannot be opened by ONNX Runtime: {_look(path)}{first[:300].rstrip('.')}. "
            "Fetch or export it again."
        ) from error


def _look(path: Path) -> str:
    """Says what a file is where it is plainly no network: text, a page, a Git LFS pointer."""
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return ""
    kind = guess_content(head)
    return "" if head and kind.startswith("starts with") else f"it {kind}. "


class _OpenVinoPort:
    def __init__(self, port: Any) -> None:
        self.name: str = port.get_any_name()
        shape = port.get_partial_shape()
        self.shape = [None if side.is_dynamic else side.get_length() for side in shape]
        self.type = "tensor(float)" if port.element_type.to_dtype() == np.float32 else "other"


class _OpenVinoSession:
    """An OpenVINO network with the methods of an ONNX Runtime session that mien uses."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("an OpenVINO network", "openvino", error.name) from error
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        try:
            self._model = openvino.Core().compile_model(path, "CPU", options)
        except Exception as error:  # OpenVINO raises bare RuntimeError with a trace of its own
            last = ([line for line in str(error).splitlines() if line] or ["no reason given"])[-1]
            raise ModelError(f"{path} cannot be opened by OpenVINO: {last[:300]}") from error

    def get_inputs(self) -> list[_OpenVinoPort]:
        return [_OpenVinoPort(port) for port in self._model.inputs]

    def get_outputs(self) -> list[_OpenVinoPort]:
        return [_OpenVinoPort(port) for port in self._model.outputs]

    def run(self, names: Sequence[str], feed: dict[str, Any]) -> list[Any]:
        # A request belongs to one thread; making one is cheap beside a run.
        results = self._model.create_infer_request().infer(feed)
        return [np.array(results[name]) for name in names]


@functools.cache
def has_int8_dot() -> bool | None:
    """Returns whether the CPU multiplies and sums bytes in one instruction.

    That is VNNI on x86 and the dot product on ARM; None where the system does not tell.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return True if platform.machine().lower() == "arm64" else None
    words = set(text.split())
    known = {"avx512_vnni", "avx_vnni", "asimddp"}
    return bool(words & known) if words & {"flags", "features"} else None


def _notice_int8(path: Path) -> None:
    if has_int8_dot() is False:
        warnings.warn(
            f"{path.name} is an int8 network, but this CPU has no int8 dot product (VNNI): it "
            "runs, perhaps no faster than float32, and its sums may saturate. Score it with mien "
            "evaluate, run the folder's model.onnx instead, or type mien export --reduce-range.",
            RuntimeWarning,
            stacklevel=3,
        )


class OnnxBackend:
    """Runs ``model.onnx``, or another form of the network in the same folder.

    Args:
        path: The network file, one input (N, C, S, S), an output ``logits`` (N, K) and perhaps
            ``features`` (N, F, h, w).
        config: What the folder says of it.
        threads: Threads inside one operator; 0: as many as there are cores.

    Raises:
        ModelError: If the graph does not fit the folder's config.

    An int8 network on a CPU without VNNI runs, and a ``RuntimeWarning`` says what that means.
    """

    name = "onnx"

    def __init__(self, path: Path, config: ModelConfig, *, threads: int = 0) -> None:
        self._path = path
        self._session = open_session(path, threads=threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input = inputs[0].name
        self._outputs = [output.name for output in outputs]
        if len(inputs) == 1 and inputs[0].type != "tensor(float)":
            raise ModelError(
                f"{path} takes {inputs[0].type}, not float32: a network with the preprocessing "
                "inside is for programs without mien. Open the folder's model.onnx here."
            )
        if len(inputs) != 1 or "logits" not in self._outputs:
            raise ModelError(
                f"{path} must have one input and an output 'logits'; it has inputs "
                f"{[item.name for item in inputs]} and outputs {self._outputs}. A classifier "
                f"trained elsewhere becomes a model folder with mien adopt {path.name} -o FOLDER."
            )
        if str(config.files.get(path.name, {}).get("format", "")).startswith("int8"):
            _notice_int8(path)
        size, channels = config.preprocessing.size, config.preprocessing.channels
        self._check("input", inputs[0].shape[1:], [channels, size, size], path)
        logits = outputs[self._outputs.index("logits")]
        self._check("logits", logits.shape[1:], [len(config.schema)], path)

    @functools.cached_property
    def on_one_thread(self) -> OnnxBackend:
        """The same network with one thread for each run, for callers that run side by side."""
        other = copy.copy(self)
        other._session = open_session(self._path, threads=1)
        return other

    @staticmethod
    def _check(what: str, found: list[Any], expected: list[int], path: Path) -> None:
        fixed = [isinstance(value, int) for value in found]
        if len(found) != len(expected) or any(
            is_fixed and value != wanted
            for is_fixed, value, wanted in zip(fixed, found, expected, strict=True)
        ):
            raise ModelError(
                f"{path}: {what} has shape (N, {found}), but the folder's config says {expected}."
            )

    def run(self, batch: NDArray[np.float32], *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S).

        Raises:
            ModelError: If ONNX Runtime refuses the batch, or a logit is not finite.
        """
        wanted = ["logits"]
        if features and "features" in self._outputs:
            wanted.append("features")
        try:
            results = self._session.run(wanted, {self._input: batch})
        except Exception as error:
            first = (str(error).splitlines() or ["no reason given"])[0]
            raise ModelError(f"the network failed on a batch {batch.shape}: {first}") from error
        logits = np.asarray(results[0], dtype=np.float32)
        if not np.isfinite(logits).all():
            raise ModelError(
                f"{self._path} answers with values that are no numbers: its weights are damaged. "
                "Fetch or export it again."
            )
        return Outputs(
            logits,
            np.asarray(results[1], dtype=np.float32) if len(results) > 1 else None,
        )
