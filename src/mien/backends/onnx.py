"""ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends import Outputs
from mien.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.hub import ModelConfig


def open_session(path: Path, *, threads: int = 0) -> Any:
    """Opens an ONNX file on the CPU.

    Args:
        path: The file.
        threads: Threads inside one operator; 0: as many as there are cores.

    Raises:
        ModelError: If the file is missing, damaged, or no ONNX model.
    """
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
        raise ModelError(f"{path} cannot be opened by ONNX Runtime: {first[:300]}") from error


class OnnxBackend:
    """Runs ``model.onnx``.

    Args:
        path: The ONNX file, one input (N, C, S, S), an output ``logits`` (N, K) and perhaps
            ``features`` (N, F, h, w).
        config: What the folder says of it.
        threads: Threads inside one operator; 0: as many as there are cores.

    Raises:
        ModelError: If the graph does not fit the folder's config.
    """

    name = "onnx"

    def __init__(self, path: Path, config: ModelConfig, *, threads: int = 0) -> None:
        self._session = open_session(path, threads=threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input = inputs[0].name
        self._outputs = [output.name for output in outputs]
        if len(inputs) != 1 or "logits" not in self._outputs:
            raise ModelError(
                f"{path} must have one input and an output 'logits'; it has inputs "
                f"{[item.name for item in inputs]} and outputs {self._outputs}."
            )
        size, channels = config.preprocessing.size, config.preprocessing.channels
        self._check("input", inputs[0].shape[1:], [channels, size, size], path)
        logits = outputs[self._outputs.index("logits")]
        self._check("logits", logits.shape[1:], [len(config.schema)], path)

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
            ModelError: If ONNX Runtime refuses the batch.
        """
        wanted = ["logits"]
        if features and "features" in self._outputs:
            wanted.append("features")
        try:
            results = self._session.run(wanted, {self._input: batch})
        except Exception as error:
            first = (str(error).splitlines() or ["no reason given"])[0]
            raise ModelError(f"the network failed on a batch {batch.shape}: {first}") from error
        return Outputs(
            np.asarray(results[0], dtype=np.float32),
            np.asarray(results[1], dtype=np.float32) if len(results) > 1 else None,
        )
