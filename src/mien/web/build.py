"""Builds the page: one folder that any static host serves, whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.atomic import replacing_folder
from mien.backends import open_backend
from mien.detectors import bundle
from mien.errors import ConfigError, MienError, ModelError
from mien.hub import ASSETS, CONFIG, ONNX, read_model_folder
from mien.web.runtime import place_runtime
from mien.web.settings import DETECTOR, EXAMPLE, MODEL, RUNTIME, page_settings

if TYPE_CHECKING:
    from mien.hub import ModelFolder

SOURCES = Path(__file__).parent / "page"
SETTINGS = "mien.json"
_SAMPLE = ASSETS / "sample" / "astronaut.jpg"


@dataclass(frozen=True)
class Page:
    """A built page: its folder, the name of its model, how many files it has, and their bytes."""

    path: Path
    model: str
    files: int
    size: int


def build_page(
    output: str | Path,
    model: str | Path | None = None,
    *,
    runtime: str | Path | None = None,
    overwrite: bool = False,
) -> Page:
    """Builds the page that reads faces in a visitor's browser, in a new or an empty folder.

    ``runtime`` is a copy of ONNX Runtime Web as :func:`mien.web.runtime.place_runtime` takes it.
    ``overwrite`` replaces a page that this function built earlier, nothing else.
    """
    target = Path(output).absolute()
    _check_output(target, overwrite=overwrite)
    folder = read_model_folder(model)
    _check_model(folder)
    source = None if runtime is None else Path(runtime)
    if source is not None and not source.exists():
        raise ConfigError(f"--runtime {source}: there is no such folder or file.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(target) as place:
            _fill(place, folder, source)
    except OSError as error:
        raise MienError(f"{target} cannot be written: {error.strerror or error}.") from error
    sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    return Page(Path(output), folder.config.name, len(sizes), sum(sizes))


def _check_output(target: Path, *, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / SETTINGS).is_file():
        raise ConfigError(
            "is in use and holds no page of mien's: give a new or an empty folder", subject=target
        )
    if not overwrite:
        raise ConfigError("holds a page: type --overwrite, or give another folder", subject=target)


def _check_model(folder: ModelFolder) -> None:
    """Refuses what the page's scripts do not run."""
    if not folder.network.endswith(".onnx"):
        raise ModelError(
            f"does not run in a browser: give the folder's {ONNX}", subject=folder.network
        )
    align = folder.config.preprocessing.align
    if align != "none":
        raise ModelError(
            f"turns its faces ({align}), which the page does not: give a model trained on "
            "upright squares",
            subject=folder.config.name,
        )
    open_backend(folder)


def _fill(place: Path, folder: ModelFolder, runtime: Path | None) -> None:
    copies = {path.relative_to(SOURCES): path for path in SOURCES.rglob("*") if path.is_file()}
    for part in (bundle.CONFIG, bundle.NETWORK, bundle.REFINER, bundle.LANDMARKS):
        copies[Path(DETECTOR, part)] = bundle.FOLDER / part
    copies[Path(MODEL, CONFIG)] = folder.path / CONFIG
    copies[Path(MODEL, folder.network)] = folder.file(ONNX)
    copies[Path(EXAMPLE)] = _SAMPLE
    for name, path in copies.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / name)
    place_runtime(place / RUNTIME, runtime)
    text = json.dumps(page_settings(folder), indent=2, ensure_ascii=False)
    (place / SETTINGS).write_text(text + "\n", encoding="utf-8")
