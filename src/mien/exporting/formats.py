"""Other forms of a model's network, made and checked against ``model.onnx``.

Each is made from ``model.onnx``, whose weights are those of ``model.safetensors``, and stands in
the same folder as ``model.<format>.*``. A form whose accuracy fell too far is not written.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.atomic import replacing, write_text
from mien.backends.onnx import OnnxBackend
from mien.errors import ConfigError, needs_extra
from mien.exporting.config import ExportConfig, available_formats, files_of
from mien.exporting.exporter import FormatExporter
from mien.exporting.measure import FormatResult, ParityCheck
from mien.hub import CARD, ONNX, WEIGHTS, ModelFolder, read_model_folder, write_config
from mien.hub.card import model_card
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.data import Manifest

#: Copied along when a model goes to another folder.
_COPIED = (WEIGHTS, "args.yaml", "metrics.csv", "split.json", "eval/valid.json")


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
    wanted = [name for name in options.formats if name != "onnx"]
    for name in files_of(options):
        if (target / name).exists() and not overwrite:
            raise ConfigError(
                "exists: type --overwrite, or give another -o", subject=f"{target / name}"
            )
    training = None
    if "int8-static" in wanted:
        training = _training_faces(source, calibrate or data, options)
    part = None if data is None else data.split(options.split).with_labels()
    folder = _with_network(source, target, options, overwrite=overwrite)
    reference = OnnxBackend(folder.file(ONNX), folder.config)
    check = ParityCheck(reference, folder.config, part, split=options.split)
    with tempfile.TemporaryDirectory(dir=target, prefix=".export-") as staging:
        exporter = FormatExporter(folder, Path(staging), check, options, training)
        for name in wanted:
            exporter.make(name)
            if progress:
                progress(1)
        results = exporter.finish(reference)
        if options.embed:
            exporter.embed([result for result in results if not result.refused])
        for path in sorted(Path(staging).iterdir()):
            path.replace(target / path.name)
    folder = write_config(target, replace(folder.config, files=exporter.files))
    write_text(target / CARD, model_card(folder))
    return folder, results


def _training_faces(
    source: ModelFolder, manifest: Manifest | None, options: ExportConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draws two sets of training faces: to calibrate on, and to compare calibrations on."""
    from mien.data.faces import load_faces

    if manifest is None:
        raise ConfigError(
            "int8-static measures ranges on training faces: type --calibrate DATASET, or -d "
            "DATASET with a train split."
        )
    train = manifest.split("train")
    count = options.calibration_faces
    order = np.random.default_rng(options.seed).permutation(len(train))[: 2 * count]
    if options.calibration != "compare":
        order = order[:count]
    elif len(order) < 2 * count:
        count = max(len(order) // 2, 1)
    p = source.config.preprocessing
    batch = normalize(load_faces(train.select(order), p), p)
    return batch[:count], batch[count:]


def _with_network(
    source: ModelFolder, target: Path, options: ExportConfig, *, overwrite: bool
) -> ModelFolder:
    """Puts ``model.onnx`` into the target: exported anew where asked for, else as it is."""
    here = target.resolve() == source.path.resolve()
    if "onnx" in options.formats and (source.path / WEIGHTS).is_file():
        with needs_extra("--format onnx", "train"):
            from mien.exporting.onnx import export_run
        if here and (target / ONNX).is_file() and not overwrite and len(options.formats) > 1:
            return replace(source, network=ONNX)
        return export_run(
            source.path,
            None if here else target,
            half_weights=options.half_weights,
            overwrite=overwrite,
        )[0]
    network = replace(source, network=ONNX).file(ONNX)
    if here:
        return replace(source, network=ONNX)
    if (target / ONNX).exists() and not overwrite:
        raise ConfigError(
            "exists: type --overwrite, or give another -o", subject=f"{target / ONNX}"
        )
    for name in (network.name, *_COPIED):
        if (source.path / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            with replacing(target / name) as temporary:
                shutil.copyfile(source.path / name, temporary)
    return write_config(target, replace(source.config, files={}))
