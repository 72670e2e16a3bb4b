"""A page that runs for the tests of this folder, and a browser to open it with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from support.demo_clips import clip, model
from support.page import Page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if find_spec("gradio") is None:
        pytest.skip("needs the demo extra")
    place = tmp_path_factory.mktemp("page")
    command = [
        sys.executable, "-m", "mien", "demo", "--port", "0", "--max-seconds", "6", "--max-mb", "5",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(place)}
    )
    assert process.stderr is not None
    try:
        line, said = "", []
        while "http" not in line:
            line = process.stderr.readline()
            said.append(line)
            assert line, said
        found = re.search(r"http://\S+", line)
        assert found
        private = next(place.glob("mien-demo-*"))
        yield Page(found[0], private)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        # Gradio makes an empty folder of its own; no file stays, of a visitor or of telemetry.
        assert [path for path in place.rglob("*") if path.is_file()] == []
        assert not private.exists()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Returns a function that launches Chromium with more arguments."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as playwright:
        opened = []

        def launch(*more: str) -> Any:
            arguments = ["--no-sandbox", "--disable-gpu", *more]
            opened.append(playwright.chromium.launch(executable_path=path, args=arguments))
            return opened[-1]

        yield launch
        for browser in opened:
            browser.close()


__all__ = ["clip", "model"]
