"""The ONNX backend: a model folder's network in ONNX Runtime, or OpenVINO for its own files."""

from __future__ import annotations

import copy
import functools
import platform
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.backends.protocol import Backend, Outputs
from mien.backends.session import Session
from mien.errors import ModelError, first_line

if TYPE_CHECKING:
    from mien.arrays import F32
    from mien.hub import ModelConfig


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


class OnnxBackend(Backend):
    """Runs ``model.onnx``, or another form of the network in the same folder.

    It has one input (N, C, S, S), an output ``logits`` (N, K) and perhaps ``features``
    (N, F, h, w). ``threads`` and ``device`` are those of :class:`Session`.

    An int8 network with 8-bit weights runs on a CPU without VNNI, and a ``RuntimeWarning`` says
    what that means.
    """

    name = "onnx"

    def __init__(
        self, path: Path, config: ModelConfig, *, threads: int = 0, device: str = "auto"
    ) -> None:
        self._path = path
        self._session = Session(path, threads=threads, device=device)
        inputs, outputs = self._session.inputs, self._session.outputs
        self._input = inputs[0].name
        self._outputs = [output.name for output in outputs]
        if len(inputs) == 1 and inputs[0].type != "tensor(float)":
            raise ModelError(
                f"takes {inputs[0].type}, not float32: a network with the preprocessing inside "
                "is for programs without mien",
                subject=path,
                hint="Open the folder's model.onnx here.",
            )
        if len(inputs) != 1 or "logits" not in self._outputs:
            raise ModelError(
                "must have one input and an output 'logits'; it has inputs "
                f"{[item.name for item in inputs]} and outputs {self._outputs}",
                subject=path,
                hint="A classifier trained elsewhere becomes a model folder with mien adopt "
                f"{path.name} -o FOLDER.",
            )
        entry = config.files.get(path.name, {})
        wide = str(entry.get("format", "")).startswith("int8") and entry.get("weight_bits") != 7
        if wide and has_int8_dot() is False:
            warnings.warn(
                f"{path.name} is an int8 network, but this CPU has no int8 dot product (VNNI): it "
                "runs, perhaps no faster than float32, and its sums may saturate. Score it with "
                "mien evaluate, run the folder's model.onnx instead, or type mien export "
                "--reduce-range.",
                RuntimeWarning,
                stacklevel=2,
            )
        p = config.preprocessing
        logits = outputs[self._outputs.index("logits")]
        for what, value, expected in (
            ("input", inputs[0], [p.channels, p.size, p.size]),
            ("logits", logits, [len(config.schema)]),
        ):
            found = list(value.shape[1:])
            if len(found) != len(expected) or any(
                isinstance(side, int) and side != wanted
                for side, wanted in zip(found, expected, strict=True)
            ):
                raise ModelError(
                    f"{what} has shape (N, {found}), but the folder's config says {expected}",
                    subject=f"{path}:",
                )

    def single_threaded(self) -> OnnxBackend:
        """Returns the same network with one thread per run."""
        other = copy.copy(self)
        other._session = self._session.single_threaded
        return other

    def run(self, batch: F32, *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S)."""
        wanted = ["logits"]
        if features and "features" in self._outputs:
            wanted.append("features")
        try:
            results = self._session.run(wanted, {self._input: batch})
        except Exception as error:
            raise ModelError(
                f"the network failed on a batch {batch.shape}: {first_line(error)}"
            ) from error
        logits = np.asarray(results[0], dtype=np.float32)
        if not np.isfinite(logits).all():
            reason = "answers with values that are no numbers: its weights are damaged"
            raise ModelError(reason, subject=self._path, hint="Fetch or export it again.")
        maps = np.asarray(results[1], dtype=np.float32) if len(results) > 1 else None
        return Outputs(logits, maps)
