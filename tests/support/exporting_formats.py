"""What the tests of formats share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mien.data import read_manifest
from mien.exporting import ExportConfig, export_formats
from mien.exporting.measure import FormatResult
from mien.hub import ModelFolder
from support.faces import write_folder
from support.network import write_model

FORMATS = ("onnx-fp16", "int8-dynamic", "int8-static")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("drawn") / "faces", 40)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("made") / "model")


Exported = tuple[ModelFolder, list[FormatResult]]


@pytest.fixture(scope="session")
def exported(made: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    options = ExportConfig(FORMATS, embed=True, calibration_faces=40, max_drop=4.0)
    output = tmp_path_factory.mktemp("exported") / "model"
    return export_formats(made, output, options, data=read_manifest(f"folder:{data}"))


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported[0].path, tmp_path / "copy"))
