"""Every module and every verb, with the libraries of each extra alone: never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support import ROOT


@pytest.mark.parametrize("extra", ["", "video", "eval", "export", "hub", "jobs", "serve", "train"])
def test_no_extra_but_one_ends_in_a_traceback(extra: str) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-m", "support.light", *extra.split()],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert json.loads(done.stdout) == {}


def test_the_light_door_is_light() -> None:
    """What is blocked stays blocked: else the test above would show nothing."""
    code = (
        "import sys; from support.light import LIBRARIES, Blocker; "
        "sys.meta_path.insert(0, Blocker(list(LIBRARIES))); import mien; "
        "from mien.errors import import_extra; import_extra('torch', 'a test', 'train')"
    )
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert "a test needs an extra (torch is not installed)" in done.stderr
