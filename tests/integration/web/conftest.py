"""A built page for the tests of it, and the engine that npm gives."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mien.web import RUNTIME_VERSION, Page, build_page
from support.web_scripts import call


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that ``npm pack onnxruntime-web`` writes."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("engine")
    command = [npm, "pack", f"onnxruntime-web@{RUNTIME_VERSION}", "--silent", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs onnxruntime-web from npm: {done.stderr.strip()[:120]}")
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="session")
def built(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page with the bundled model, two folders below a host's root."""
    root = tmp_path_factory.mktemp("host")
    return build_page(root / "some" / "place", runtime=engine)


__all__ = ["call"]
