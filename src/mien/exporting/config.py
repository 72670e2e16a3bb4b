"""The forms a network can be exported in, and the settings of an export."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.atomic import replacing
from mien.config import Config, from_one, from_zero, one_of, option, switch
from mien.errors import ConfigError
from mien.hub import ONNX, WEIGHTS, ModelFolder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


#: Format -> name of its file in a model folder.
FORMATS = {
    "onnx": ONNX,
    "onnx-fp16": "model.onnx-fp16.onnx",
    "int8-dynamic": "model.int8-dynamic.onnx",
    "int8-static": "model.int8-static.onnx",
    "openvino": "model.openvino.xml",
    "torch-export": "model.torch-export.pt2",
}


#: What else of a run goes along to another folder.
RECORDS = ("args.yaml", "metrics.csv", "split.json", "eval/valid.json")


@dataclass(frozen=True)
class ExportConfig(Config):
    """What to make of a model, and how."""

    formats: tuple[str, ...] = option(
        (), f"{', '.join(FORMATS)}, or all that can be made here; repeat it.",
        choices=(*FORMATS, "all"), flag="--format",
    )  # fmt: skip
    embed: bool = switch(
        "Each ONNX form a second time: uint8 faces in, probabilities out.",
        flag="--embed-preprocessing",
    )
    calibration: str = one_of(
        "How int8-static is calibrated; compare takes the nearest to float32",
        *("minmax", "entropy", "percentile", "compare"),
        flag="--calibration-method",
    )
    calibration_faces: int = from_one(256, "Training faces that ranges are measured on.")
    reduce_range: bool = switch("int8 for CPUs without VNNI: 7-bit weights.")
    max_drop: float = from_zero(0.3, "Points that the accuracy may fall.")
    split: str = option("valid", "Split that the accuracy is measured on.")
    weights: str = one_of(
        "Weights of model.onnx; float16: half the size, sums in float32", "float32", "float16"
    )
    seed: int = from_zero(0, "Seed of the draw of training faces.")

    def check(self) -> None:
        """Refuses half weights of a file that is not written."""
        others = self.formats or self.embed
        if self.half_weights and others and not {"onnx", "all"} & set(self.formats):
            raise ConfigError("--weights float16 is of model.onnx: add --format onnx.")

    @property
    def half_weights(self) -> bool:
        """Whether the matrices of ``model.onnx`` are stored as float16."""
        return self.weights == "float16"


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


def files_of(config: ExportConfig) -> list[str]:
    """Returns the names of the files that an export adds to ``model.onnx``."""
    names = [FORMATS[name] for name in config.formats if name != "onnx"]
    if config.embed:
        names += [embedded_name(name) for name in (ONNX, *names) if name.endswith(".onnx")]
    return names


def embedded_name(name: str) -> str:
    """Returns what a network is called with its preprocessing inside."""
    return f"{name.removesuffix('.onnx')}.embedded.onnx"


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copies those of the files that a model folder has to another folder."""
    for name in names:
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            with replacing(target / name) as temporary:
                shutil.copyfile(source / name, temporary)
