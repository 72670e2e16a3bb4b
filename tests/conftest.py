"""Fixtures of the whole suite."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
from pathlib import Path
from typing import Any

# Tests run side by side, one worker per core: each keeps to one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from filelock import FileLock
from hypothesis import Phase, settings

from support import ROOT
from support.faces import Draw, varied_face, write_folder

# Generated examples are the same on every run and leave no file; a mutant need not be shrunk.
_GENERATED = settings(max_examples=30, deadline=None, derandomize=True, database=None)
settings.register_profile("quick", _GENERATED)
settings.register_profile("mutation", _GENERATED, phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

#: What most of the start goes into; the first is as much work as all the others.
LARGE = ("torch", "pandas", "scipy.optimize", "fastapi", "matplotlib.figure", "onnx", "optuna")


def pytest_configure(config: pytest.Config) -> None:
    """Imports what is large, every other worker from the other end.

    Right after an installation Python compiles what it imports, and workers that go through it
    side by side would each compile all of it.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and any(Path(each).is_dir() for each in config.args):
        for name in LARGE[:: -1 if int(worker[2:]) % 2 else 1]:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deals out files in the way of this suite, where ``--dist`` does not say another."""
    from support.scheduling import ScopeScheduling

    return ScopeScheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what takes long, where workers share the files."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from support.scheduling import long_first

        long_first(items)


# What is imported stays until the end: looking for garbage in it takes a twentieth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Looks for garbage again, but only in what the tests themselves make."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Lets Python clear away what was imported, so that no library speaks of leaks."""
    gc.unfreeze()


SAMPLE = ROOT / "src/mien/assets/sample/astronaut.jpg"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` next to the repository: media, data and weights for tests."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder 'shared' next to the repository")
    return folder


@pytest.fixture(scope="session")
def photo() -> bytes:
    """The photo in the package, as a file's bytes."""
    return SAMPLE.read_bytes()


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draws faces that differ enough to be different people."""
    return varied_face


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network trained on drawn faces: a run directory that is a model folder.

    It is trained once, by the first worker that asks for it; it is not to be written to.
    """
    pytest.importorskip("torch")
    from mien.training.config import TrainConfig
    from mien.training.run import train

    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    root = base / "trained"
    with FileLock(base / "trained.lock"):
        if not (root / "done").is_file():
            data = write_folder(root / "faces", 96)
            values = {
                "data": f"folder:{data}", "model": "mienet_test", "epochs": 24,
                "warmup_epochs": 1, "batch_size": 16, "lr": 0.05, "ema_decay": 0.95,
                "precision": "32", "mixup": 0, "rotate": 5, "erase": 0, "seed": 3, "tag": "drawn",
            }  # fmt: skip
            train(TrainConfig.make(values), root / "run", progress=False)
            (root / "done").touch()
    return root / "run"


@pytest.fixture
def workplace(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that examples are typed in: a photo, a clip, faces, and two finished runs."""
    from mien.images import decode
    from support.clips import write_clip

    shutil.copyfile(SAMPLE, tmp_path / "photo.jpg")
    write_clip(tmp_path / "clip.mp4", [decode(tmp_path / "photo.jpg")] * 12)
    write_folder(tmp_path / "faces", 96)
    for name in ("train", "other"):
        shutil.copytree(trained, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
