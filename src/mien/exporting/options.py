"""The forms a network can be exported in, and the options of an export."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import ConfigError, suggest
from mien.hub import ONNX, WEIGHTS

if TYPE_CHECKING:
    from mien.hub import ModelFolder

#: Format -> name of its file in a model folder.
FORMATS = {
    "onnx": ONNX,
    "onnx-fp16": "model.onnx-fp16.onnx",
    "int8-dynamic": "model.int8-dynamic.onnx",
    "int8-static": "model.int8-static.onnx",
    "openvino": "model.openvino.xml",
    "torch-export": "model.torch-export.pt2",
}


@dataclass(frozen=True)
class ExportOptions:
    """What to make of a model, and how.

    Args:
        formats: Names of ``FORMATS``.
        embed: Write each ONNX form a second time with the preprocessing inside.
        calibration: ``"minmax"``, ``"entropy"``, ``"percentile"`` or ``"compare"``, which takes
            the one whose logits are nearest on training faces that were not calibrated on.
        calibration_faces: Training faces that ranges are measured on.
        reduce_range: int8 weights of 7 bits, for CPUs without VNNI.
        max_drop: Points that the accuracy may fall.
        split: The split it is measured on.
        half_weights: Store the matrices of ``model.onnx`` as float16, as ``--weights`` says.
        seed: Of the draw of training faces.

    Raises:
        ConfigError: If a name is unknown or a number impossible.
    """

    formats: tuple[str, ...]
    embed: bool = False
    calibration: str = "minmax"
    calibration_faces: int = 256
    reduce_range: bool = False
    max_drop: float = 0.3
    split: str = "valid"
    half_weights: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        from mien.exporting.quantize import check_calibration

        for name in self.formats:
            if name not in FORMATS:
                raise ConfigError(f"no export format {name!r}." + suggest(name, FORMATS))
        check_calibration(self.calibration)
        if self.calibration_faces < 1:
            raise ConfigError(f"calibration needs 1 face or more; got {self.calibration_faces}.")
        if not self.max_drop >= 0:
            raise ConfigError(f"the allowed drop must be 0 points or more; got {self.max_drop}.")
        if self.half_weights and "onnx" not in self.formats:
            raise ConfigError("--weights float16 is of model.onnx: add --format onnx.")


def available_formats(folder: ModelFolder) -> tuple[tuple[str, ...], dict[str, str]]:
    """Returns the formats that can be made of a model here, and why others cannot."""
    missing = {}
    if importlib.util.find_spec("openvino") is None:
        missing["openvino"] = 'type pip install "mien[openvino]"'
    if not (folder.path / WEIGHTS).is_file():
        missing["torch-export"] = f"the folder has no {WEIGHTS}"
    elif importlib.util.find_spec("torch") is None:
        missing["torch-export"] = 'type pip install "mien[train]"'
    return tuple(name for name in FORMATS if name not in missing), missing


def files_of(options: ExportOptions) -> list[str]:
    """Returns the names of the files that an export adds next to ``model.onnx``."""
    names = [FORMATS[name] for name in options.formats if name != "onnx"]
    if options.embed:
        names += [embedded_name(name) for name in (ONNX, *names) if name.endswith(".onnx")]
    return names


def embedded_name(name: str) -> str:
    """Returns what a network is called with its preprocessing inside.

    >>> embedded_name("model.onnx")
    'model.embedded.onnx'
    """
    return f"{name.removesuffix('.onnx')}.embedded.onnx"
