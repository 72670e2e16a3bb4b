"""Networks in ONNX Runtime, or OpenVINO for its own files: opened once, on a chosen device."""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import environment
from mien.errors import ConfigError, ModelError, first_line, import_extra
from mien.images.guard import guess_content

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: How long a thread waits awake for its part of a run's next step, in microseconds; ONNX Runtime
#: before 1.26 waits longer, but not beyond the run either.
_SPIN_US = "50"
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_device(device: str) -> str:
    """Returns a device's name as it is, if it is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:1; got {device!r}.")
    return device


def execution_providers(device: str = "auto") -> list[Any]:
    """Returns ONNX Runtime's providers for a device, the preferred one first.

    ``"auto"`` is CUDA where the installed ONNX Runtime has it, else the CPU.
    """
    number = int(check_device(device).partition(":")[2] or 0)
    has_cuda = "CUDAExecutionProvider" in import_onnxruntime().get_available_providers()
    if device.startswith("cuda") and not has_cuda:
        reason = "needs an ONNX Runtime with CUDA, and this one has none"
        hint = "Type: pip uninstall onnxruntime && pip install onnxruntime-gpu"
        raise ConfigError(reason, subject=f"device {device!r}", hint=hint)
    if device == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]


def import_onnxruntime() -> Any:
    """Imports ONNX Runtime without its telemetry, unless the environment allows that with a 0.

    The variable counts only while it is loaded; the environment is left as it was.
    """
    chosen = {} if "onnxruntime" in sys.modules else {"ORT_DISABLE_TELEMETRY": "1"}
    with environment(chosen, keep=True):
        return importlib.import_module("onnxruntime")


class Session:
    """A network that is open; it can be pickled, and is opened anew where it arrives.

    ``path`` is an ONNX file, or OpenVINO's ``.xml`` with its ``.bin``. 0 ``threads`` are as many as
    there are cores; an empty ``sha256`` fits any file. Threads that ``spin`` stay awake between two
    steps of a run: faster where nothing else needs their cores. After a run they sleep.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 0,
        device: str = "auto",
        sha256: str = "",
        spin: bool = False,
    ) -> None:
        self.path = Path(path)
        self._options: dict[str, Any] = {"threads": threads, "device": device}
        self._options |= {"sha256": sha256, "spin": spin}
        if self.path.suffix == ".xml":
            self._inner: Any = _OpenVinoSession(self.path, threads)
        else:
            self._inner = _open_onnx(self.path, **self._options)
        self.inputs, self.outputs = self._inner.get_inputs(), self._inner.get_outputs()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Session, self.path, **self._options), ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        return self

    @functools.cached_property
    def single_threaded(self) -> Session:
        """The same network with one thread per run."""
        return Session(self.path, **{**self._options, "threads": 1})

    def run(self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Returns the outputs of those names; ``None``: all of them."""
        return list(self._inner.run(names, dict(feed)))


def _open_onnx(path: Path, *, threads: int, device: str, sha256: str, spin: bool) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", subject=str(path)) from error
    if sha256 and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ModelError(
            f"is damaged or was changed: its sha256 is {found[:16]}…, but {sha256[:16]}… was "
            "expected",
            subject=str(path),
            hint="Install mien again, or fetch the file again.",
        )
    providers = execution_providers(device)
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads sleep: decoding and other networks use the same cores.
    entries = {"allow_spinning": str(int(spin)), "spin_duration_us": _SPIN_US}
    for name, value in entries.items():
        options.add_session_config_entry(f"session.intra_op.{name}", value)
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        kind = guess_content(data[:512], failed=False)
        said = "" if data and kind.startswith("starts with") else f"it {kind}; "
        reason = f"cannot be opened by ONNX Runtime: {said}{first_line(error).rstrip('.')}"
        raise ModelError(reason, subject=str(path), hint="Fetch or export it again.") from error


class _OpenVinoSession:
    """An OpenVINO network with the methods of an ONNX Runtime session that mien uses."""

    def __init__(self, path: Path, threads: int) -> None:
        openvino = import_extra("openvino", "an OpenVINO network", "openvino")
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        try:
            self._model = openvino.Core().compile_model(path, "CPU", options)
        except Exception as error:  # OpenVINO raises bare RuntimeError with a trace of its own
            last = ([line for line in str(error).splitlines() if line] or ["no reason given"])[-1]
            raise ModelError(
                f"cannot be opened by OpenVINO: {last[:300]}", subject=str(path)
            ) from error

    def get_inputs(self) -> list[Any]:
        return [_port(port) for port in self._model.inputs]

    def get_outputs(self) -> list[Any]:
        return [_port(port) for port in self._model.outputs]

    def run(self, names: Sequence[str], feed: dict[str, Any]) -> list[Any]:
        # A request belongs to one thread; making one costs little compared with a run.
        results = self._model.create_infer_request().infer(feed)
        return [np.array(results[name]) for name in names]


def _port(port: Any) -> Any:
    sides = port.get_partial_shape()
    return SimpleNamespace(
        name=port.get_any_name(),
        shape=[None if side.is_dynamic else side.get_length() for side in sides],
        type="tensor(float)" if port.element_type.to_dtype() == np.float32 else "other",
    )
