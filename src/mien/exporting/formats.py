"""Other forms of a model's network, made and checked against ``model.onnx``.

Each is made from ``model.onnx``, whose weights are those of ``model.safetensors``, and stands in
the same folder as ``model.<format>.*``. A form whose accuracy fell too far is not written.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import check_new
from mien.backends.onnx import OnnxBackend
from mien.errors import ConfigError, needs_extra
from mien.exporting import conversions
from mien.exporting.config import (
    FORMATS,
    RECORDS,
    ExportConfig,
    available_formats,
    copy_files,
    embedded_name,
    files_of,
)
from mien.exporting.graph import float_graph, import_onnx, read_graph
from mien.exporting.measure import FormatResult, ParityCheck
from mien.hub import ONNX, WEIGHTS, ModelFolder, read_model_folder, write_config
from mien.hub.card import write_config_and_card
from mien.hub.folder import refuse_bundled
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.arrays import F32
    from mien.backends import Backend
    from mien.data import Manifest

    Faces = F32


class _Exporter:
    """Makes networks in a staging folder, checks them, and keeps those that are good enough."""

    def __init__(
        self,
        folder: ModelFolder,
        staging: Path,
        check: ParityCheck,
        options: ExportConfig,
        training: tuple[Faces, Faces],
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
            self._checked(name, self._written(name))
            return
        method, note = self._calibration()
        result = self._checked(name, self._written(name, method=method), note)
        if result.refused:
            again = f"{note}; first layer in float32"
            self._results.remove(result)
            self._checked(name, self._written(name, method=method, float_first=True), again)

    def _written(self, name: str, **static: Any) -> list[Path]:
        """Writes a format; returns its file, then those that belong to it."""
        path = self._staging / FORMATS[name]
        if name == "openvino":
            return conversions.save_openvino(self._base, path)
        if name == "torch-export":
            return conversions.save_torch_export(self._folder, path)
        if name == "int8-static":
            static["reduce_range"] = self._options.reduce_range
            model = conversions.to_int8_static(self._base, self._training[0], **static)
        elif name == "int8-dynamic":
            model = conversions.to_int8_dynamic(self._base)
        else:
            model = conversions.to_half(self._base)
        import_onnx().save_model(model, path)
        return [path]

    def _checked(self, name: str, paths: list[Path], note: str = "") -> FormatResult:
        path, *others = paths
        entry: dict[str, Any] = {"format": name}
        if name == "int8-static":
            entry["weight_bits"] = 7 if self._options.reduce_range else 8
        if others:
            entry["with"] = [other.name for other in others]
        backend: Backend = (
            conversions.TorchExportBackend(path)
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
            self.files |= {path.name: entry} | {other.name: {"format": name} for other in others}
        self._backends[path.name] = backend
        self._results.append(result)
        return result

    def _calibration(self) -> tuple[str, str]:
        """Returns the calibration method to take, and a note of how it was chosen."""
        calibrated, held_out = self._training
        method = self._options.calibration
        if method != "compare":
            return method, f"{method} on {len(calibrated)} faces"
        config = self._folder.config
        expected = OnnxBackend(self._folder.file(ONNX), config).run(held_out).logits
        errors: dict[str, float] = {}
        for name in conversions.CALIBRATIONS:
            (path,) = self._written("int8-static", method=name)
            found = OnnxBackend(path, config).run(held_out).logits
            errors[name] = float(np.abs(np.subtract(expected, found, dtype=np.float64)).mean())
        method = min(errors, key=errors.__getitem__)
        listed = ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
        return method, f"{method} of mean logit errors {listed}"

    def finish(self, reference: Backend) -> list[FormatResult]:
        """Returns all results with their times, that of ``model.onnx`` first."""
        size = self._folder.file(ONNX).stat().st_size
        first = self._check.compare(reference, name="onnx", file=ONNX, size=size)
        times = self._check.time({ONNX: reference, **self._backends})
        return [
            replace(result, ms_1=times[result.file][0], ms_32=times[result.file][1])
            for result in (first, *self._results)
        ]

    def embed(self, results: list[FormatResult]) -> None:
        """Writes ONNX networks a second time, with the preprocessing inside."""
        for result in results:
            if result.refused or not result.file.endswith(".onnx"):
                continue
            staged, name = self._staging / result.file, embedded_name(result.file)
            path = staged if staged.is_file() else self._folder.file(result.file)
            whole = conversions.embed_preprocessing(read_graph(path), self._folder.config)
            import_onnx().save_model(whole, self._staging / name)
            self.files[name] = {"format": result.format, "preprocessing": "embedded"}


def export_formats(
    model: str | Path,
    output: Path | None,
    options: ExportConfig,
    *,
    data: Manifest | None = None,
    calibrate: Manifest | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[ModelFolder, list[FormatResult]]:
    """Writes other forms of a model's network and says what each is worth.

    Args:
        model: A model folder with ``model.onnx`` (and ``model.safetensors`` for torch-export).
        output: Folder to write; None writes next to ``model.onnx``.
        options: What to make.
        data: Dataset to score on; None: agreement is measured on noise, accuracy not at all.
        calibrate: Dataset whose train split int8-static is calibrated on; None: that of ``data``.
        overwrite: Replace files that exist.
        progress: Called with 1 after each format.

    Returns:
        The folder and a result for each network, ``model.onnx`` first. A network that was refused
        says why and is not in the folder.

    Raises:
        ConfigError: If files would be overwritten, or int8-static has nothing to calibrate on.
        ModelError: If the model cannot be used.
        DataError: If a dataset cannot be read.
        MissingExtraError: If a library is not installed.
    """
    source = read_model_folder(model)
    if "all" in options.formats:
        options = replace(options, formats=available_formats(source)[0])
    target = source.path if output is None else output
    refuse_bundled(target)
    wanted = [name for name in options.formats if name != "onnx"]
    for name in files_of(options):
        check_new(target / name, overwrite=overwrite)
    none = np.empty(0, np.float32)
    training: tuple[Faces, Faces] = (none, none)
    if "int8-static" in wanted:
        training = _training_faces(source, calibrate or data, options)
    part = None if data is None else data.split(options.split).with_labels()
    folder = _with_network(source, target, options, overwrite=overwrite)
    reference = OnnxBackend(folder.file(ONNX), folder.config)
    check = ParityCheck(reference, folder.config, part, split=options.split)
    with tempfile.TemporaryDirectory(dir=target, prefix=".export-") as staging:
        exporter = _Exporter(folder, Path(staging), check, options, training)
        for name in wanted:
            exporter.make(name)
            if progress:
                progress(1)
        results = exporter.finish(reference)
        if options.embed:
            exporter.embed(results)
        for path in sorted(Path(staging).iterdir()):
            path.replace(target / path.name)
    config = replace(folder.config, files=exporter.files)
    return write_config_and_card(target, config), results


def _training_faces(
    source: ModelFolder, manifest: Manifest | None, options: ExportConfig
) -> tuple[Faces, Faces]:
    """Draws two sets of training faces: to calibrate on, and to compare calibrations on."""
    from mien.data.faces import load_readable

    if manifest is None:
        raise ConfigError(
            "int8-static measures ranges on training faces: type --calibrate DATASET, or -d "
            "DATASET with a train split."
        )
    train = manifest.split("train")
    count = options.calibration_faces
    wanted = 2 * count if options.calibration == "compare" else count
    order = np.random.default_rng(options.seed).permutation(len(train))[:wanted]
    p = source.config.preprocessing
    batch = normalize(load_readable(train.select(order), p)[1], p)
    if options.calibration == "compare" and len(batch) < wanted:
        count = max(len(batch) // 2, 1)
    return batch[:count], batch[count:]


def _with_network(
    source: ModelFolder, target: Path, options: ExportConfig, *, overwrite: bool
) -> ModelFolder:
    """Puts ``model.onnx`` into the target: exported anew where needed, else as it is.

    Other forms are made of a float network: where ``model.onnx`` is quantised, of the weights.
    """
    here = target.resolve() == source.path.resolve()
    entry = source.config.files.get(ONNX, {})
    quantized = bool(options.formats) and "format" in entry
    if ("onnx" in options.formats or quantized) and (source.path / WEIGHTS).is_file():
        with needs_extra("--format onnx", "train"):
            from mien.exporting.onnx import export_run
        written = (target / ONNX).is_file() and not quantized
        if here and written and not overwrite and len(options.formats) > 1:
            return replace(source, network=ONNX)
        place, half = None if here else target, options.half_weights
        return export_run(source.path, place, half_weights=half, overwrite=overwrite)[0]
    network = replace(source, network=ONNX).file(ONNX)
    if here:
        return replace(source, network=ONNX)
    check_new(target / ONNX, overwrite=overwrite)
    copy_files(source.path, target, (network.name, WEIGHTS, *RECORDS))
    return write_config(target, replace(source.config, files={ONNX: dict(entry)}))
