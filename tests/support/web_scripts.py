"""What the tests of scripts share."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from mien.web.build import SOURCES
from support import ROOT


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Calls functions of the scripts: ``call(["resize", ...], ...)`` returns a list of answers."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    folder = tmp_path_factory.mktemp("scripts")
    shutil.copytree(SOURCES / "scripts", folder, dirs_exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(*calls: list[Any]) -> list[Any]:
        done = subprocess.run(
            [node, str(ROOT / "tests" / "support" / "parity.mjs")],
            input=json.dumps({"scripts": str(folder), "calls": calls}),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return run


def _raster(pixels: np.ndarray) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return {
        "width": width, "height": height, "channels": channels, "data": pixels.ravel().tolist(),
    }  # fmt: skip
