"""The base install in this environment: libraries of the extras cannot be imported.

``python -m support.light [EXTRA...]`` imports every module of mien and runs every verb without the
libraries of any extra but those that are named, and prints what ended in anything but an answer or
one of mien's own errors, as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import pkgutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

#: Library -> the extras that bring it.
LIBRARIES = {
    "av": "video demo", "cleanlab": "", "cv2": "haar", "datasets": "datasets", "fastapi": "serve",
    "fsspec": "jobs", "gradio": "demo", "httpx": "client serve", "huggingface_hub": "hub",
    "jinja2": "eval train",
    "lightning": "track", "matplotlib": "eval video demo train", "mlflow": "track",
    "onnx": "export openvino train", "onnxscript": "train", "openvino": "openvino",
    "optuna": "train", "pandas": "pandas", "pillow_heif": "heif", "prometheus_client": "serve",
    "psycopg": "postgres", "pyarrow": "jobs eval", "pytorch_grad_cam": "train", "ray": "jobs",
    "scipy": "eval video demo train", "sklearn": "eval", "supervision": "supervision",
    "tensorboard": "track", "timm": "train", "torch": "train",
    "torchvision": "train", "uvicorn": "serve", "wandb": "track", "websockets": "serve",
    "yaml": "train serve hub",
}  # fmt: skip


class Blocker(importlib.abc.MetaPathFinder):
    """Says of libraries that they are not installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def _inputs(folder: Path) -> dict[str, str]:
    from PIL import Image

    from mien.cli.sources import SAMPLE

    frames = [Image.new("RGB", (64, 64), (60 * index, 90, 60)) for index in range(3)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    (folder / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(400))
    for name in ("happy", "sad"):
        (folder / "faces" / name).mkdir(parents=True)
        frames[1].save(folder / "faces" / name / "1.png")
        frames[2].save(folder / "faces" / name / "2.png")
    return {"sample": str(SAMPLE), "faces": f"folder:{folder / 'faces'}", "out": str(folder / "o")}


def calls(folder: Path) -> list[tuple[str, ...]]:
    """Returns a command line for every verb and every kind of source."""
    there = _inputs(folder)
    faces, out = there["faces"], there["out"]
    photo, model = ("predict", there["sample"]), "mienet_s.ferplus8"
    return [
        ("--version",), ("--help",), photo, (*photo, "--format", "csv"),
        (*photo, "--detector", "yunet:none"), (*photo, "--detector", "haar"),
        (*photo, "--backend", "torch"), (*photo, "-o", f"{out}.parquet"),
        (*photo, "--engine", "ray", "-o", f"{out}.parquet"), (*photo, "--imports", "nosuch"),
        ("predict", str(folder / "a.mp4")), ("predict", str(folder / "a.gif")),
        ("predict", str(folder / "a.gif"), "-o", f"{out}-clip"), ("predict", "--webcam", "97"),
        ("predict", "~nosuch/a.jpg"), ("predict", "s3://nosuch/a", "-o", f"{out}.parquet"),
        ("train", "-d", faces, "-o", f"{out}-run", "--epochs", "2"),
        ("tune", "-d", faces, "-o", f"{out}-tune"),
        ("ensemble", model, "mienet_s.faces8", "-o", f"{out}-both"),
        ("compare", model, "mienet_s.faces8", "-d", faces), ("evaluate", "-d", faces),
        ("evaluate", "-d", faces, "--report", f"{out}.html"),
        ("evaluate", "-d", "parquet:a.parquet"), ("evaluate", "-d", "hf:nosuch"),
        ("calibrate", "-m", model, "-d", faces),
        ("data", "inspect", "-d", faces), ("data", "inspect", "-d", faces, "-o", f"{out}2.html"),
        ("data", "sheet", "-d", faces, "-o", f"{out}.png"),
        ("data", "split", "-d", faces, "-o", f"{out}.csv"),
        ("data", "convert", "-d", faces, "--to", "parquet", "-o", f"{out}2.parquet"),
        ("data", "shard", "-d", faces, "-o", f"{out}-shards"),
        ("data", "card", "-d", faces, "-o", f"{out}.md", "--name", "a", "--license", "b"),
        ("explain", there["sample"], "-o", f"{out}-maps"),
        ("explain", there["sample"], "--method", "gradcam", "-o", f"{out}-maps2"),
        ("export", model, "-o", f"{out}-small"),
        ("export", model, "-o", f"{out}-small", "--format", "openvino"),
        ("adopt", "nosuch.onnx", "-o", f"{out}-adopted", "--labels", "fer7"),
        ("push", model, "a/b"), ("serve", "--port", "0", "-m", "nosuch"), ("demo", "-m", "nosuch"),
        ("space", f"{out}-space"), ("models",), ("models", "--architectures"), ("doctor",),
    ]  # fmt: skip


def run(arguments: tuple[str, ...]) -> str:
    """Runs one command line; returns a traceback where there was one, else an empty text."""
    from mien.cli import main

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main(arguments)
    except SystemExit as stop:
        bad = stop.code not in {0, 1, 2, None} or "Traceback" in said.getvalue()
        return said.getvalue() if bad else ""
    except BaseException:  # noqa: BLE001 - that is what is looked for
        return traceback.format_exc()
    return "it did not exit"


def import_all() -> dict[str, str]:
    """Imports every module of mien; returns what was raised besides a missing library."""
    import mien
    from mien.errors import MissingExtraError

    faults = {}
    for module in pkgutil.walk_packages(mien.__path__, "mien."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except MissingExtraError:
            continue
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in LIBRARIES:
                faults[module.name] = traceback.format_exc()
    return faults


def block(names: Sequence[str]) -> None:
    """Hides libraries, from ``import`` and from those who ask whether they are there."""
    ask = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
        return None if name.partition(".")[0] in names else ask(name, package)

    importlib.util.find_spec = find_spec
    sys.meta_path.insert(0, Blocker(names))


def main(extras: Sequence[str]) -> None:
    """Prints the faults of everything, by what was tried."""
    kept = {name for name, of in LIBRARIES.items() if set(of.split()) & set(extras)}
    block([name for name in LIBRARIES if name not in kept])
    faults = import_all()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for arguments in calls(Path(folder)):
            if fault := run(arguments):
                faults[" ".join(arguments)] = fault
    sys.stdout.write(json.dumps(faults, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
