"""Where other forms of a network are made, checked, and kept or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends.onnx import OnnxBackend
from mien.exporting.config import FORMATS, embedded_name
from mien.exporting.graph import float_graph, import_onnx, read_graph
from mien.hub import ONNX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.backends import Backend
    from mien.exporting.config import ExportConfig
    from mien.exporting.measure import FormatResult, ParityCheck
    from mien.hub import ModelFolder


class FormatExporter:
    """Makes networks in a staging folder, checks them, and keeps those that are good enough.

    Args:
        folder: The model, with its ``model.onnx``.
        staging: Folder to write into.
        check: Compares a network with ``model.onnx``.
        options: What to make.
        training: Training faces as the network takes them, to calibrate on and to compare
            calibrations on; None unless int8-static is made.
    """

    def __init__(
        self,
        folder: ModelFolder,
        staging: Path,
        check: ParityCheck,
        options: ExportConfig,
        training: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    ) -> None:
        self.files: dict[str, Any] = dict(folder.config.files)
        self._folder, self._staging, self._check = folder, staging, check
        self._options, self._training = options, training
        self._base = float_graph(folder.file(ONNX))
        self._results: list[FormatResult] = []
        self._backends: dict[str, Backend] = {}

    def make(self, name: str) -> None:
        """Makes and checks one format; int8-static tries its methods and its way out."""
        if name != "int8-static":
            self._checked(name, _MAKERS[name](self))
            return
        method, note = self._calibration()
        result = self._checked(name, self._static(method, float_ends=False), note)
        if result.refused:
            again = f"{note}; first and last layer in float32"
            self._results.remove(result)
            self._checked(name, self._static(method, float_ends=True), again)

    def _checked(self, name: str, paths: list[Path], note: str = "") -> FormatResult:
        from mien.exporting.engines import TorchExportBackend

        path, others = paths[0], paths[1:]
        entry: dict[str, Any] = {"format": name}
        if others:
            entry["with"] = [other.name for other in others]
        backend: Backend = (
            TorchExportBackend(path)
            if path.suffix == ".pt2"
            else OnnxBackend(path, replace(self._folder.config, files={path.name: entry}))
        )
        size = sum(item.stat().st_size for item in paths)
        result = self._check.compare(backend, name=name, file=path.name, size=size, note=note)
        why = ""
        if not np.isfinite(result.difference):
            why = "its logits are not finite"
        elif result.drop > self._options.max_drop + 1e-9:
            why = f"accuracy fell by {result.drop:.2f} points (--max-drop {self._options.max_drop})"
        if why:
            result = replace(result, refused=why)
            for item in paths:
                item.unlink()
        else:
            self.files[path.name] = entry
            self.files.update({other.name: {"format": name} for other in others})
        self._backends[path.name] = backend
        self._results.append(result)
        return result

    def finish(self, reference: Backend) -> list[FormatResult]:
        """Returns all results with their times, that of ``model.onnx`` first."""
        size = self._folder.file(ONNX).stat().st_size
        first = self._check.compare(reference, name="onnx", file=ONNX, size=size)
        times = self._check.time({ONNX: reference, **self._backends})
        return [
            replace(result, ms_32=times[result.file][0], ms_1=times[result.file][1])
            for result in (first, *self._results)
        ]

    def embed(self, results: list[FormatResult]) -> None:
        """Writes ONNX networks a second time, with the preprocessing inside."""
        from mien.exporting.embed import embed_preprocessing

        for result in results:
            staged = self._staging / result.file
            path = staged if staged.is_file() else self._folder.file(result.file)
            if path.suffix != ".onnx":
                continue
            whole = embed_preprocessing(read_graph(path), self._folder.config)
            name = embedded_name(result.file)
            import_onnx().save_model(whole, self._staging / name)
            self.files[name] = {"format": result.format, "preprocessing": "embedded"}

    def _save(self, name: str, model: Any) -> list[Path]:
        path = self._staging / FORMATS[name]
        import_onnx().save_model(model, path)
        return [path]

    def _half(self) -> list[Path]:
        from mien.exporting.quantize import to_half

        return self._save("onnx-fp16", to_half(self._base))

    def _dynamic(self) -> list[Path]:
        from mien.exporting.quantize import to_int8_dynamic

        return self._save("int8-dynamic", to_int8_dynamic(self._base))

    def _static(self, method: str, *, float_ends: bool) -> list[Path]:
        from mien.exporting.quantize import to_int8_static

        assert self._training is not None  # noqa: S101 - read before the first format is made
        model = to_int8_static(
            self._base, self._training[0], method=method, float_ends=float_ends,
            reduce_range=self._options.reduce_range,
        )  # fmt: skip
        return self._save("int8-static", model)

    def _calibration(self) -> tuple[str, str]:
        """Returns the calibration method to take, and a note of how it was chosen."""
        from mien.exporting.quantize import CALIBRATIONS, best_calibration, logit_error

        assert self._training is not None  # noqa: S101 - read before the first format is made
        method = self._options.calibration
        if method != "compare":
            return method, f"{method} on {len(self._training[0])} faces"
        config, held_out = self._folder.config, self._training[1]
        expected = OnnxBackend(self._folder.file(ONNX), config).run(held_out).logits
        errors = []
        for name in CALIBRATIONS:
            (path,) = self._static(name, float_ends=False)
            errors.append(
                (name, logit_error(expected, OnnxBackend(path, config).run(held_out).logits))
            )
        method = best_calibration(errors)
        listed = ", ".join(f"{name} {error:.4f}" for name, error in errors)
        return method, f"{method} of mean logit errors {listed}"

    def _openvino(self) -> list[Path]:
        from mien.exporting.engines import save_openvino

        return save_openvino(self._base, self._staging / FORMATS["openvino"])

    def _torch_export(self) -> list[Path]:
        from mien.exporting.engines import save_torch_export

        return save_torch_export(self._folder, self._staging / FORMATS["torch-export"])


_MAKERS: dict[str, Callable[[FormatExporter], list[Path]]] = {
    "onnx-fp16": FormatExporter._half,
    "int8-dynamic": FormatExporter._dynamic,
    "openvino": FormatExporter._openvino,
    "torch-export": FormatExporter._torch_export,
}
