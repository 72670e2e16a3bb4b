from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mien.demo.space import write_space


def _front_matter(folder: Path) -> dict[str, str]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    head = text.split("---\n")[1]
    return dict(re.findall(r"^(\w+): *(.*)$", head, re.MULTILINE))


def test_gradio_is_the_installed_one(tmp_path: Path) -> None:
    if find_spec("gradio") is None:
        pytest.skip("needs the demo extra")
    assert _front_matter(write_space(tmp_path / "s"))["sdk_version"] == version("gradio")


@pytest.mark.slow
@pytest.mark.network
def test_space_runs_in_a_fresh_environment(tmp_path: Path) -> None:
    """As the Hub does it: install what the Space names, run its app, ask for a page and a face."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("needs uv")
    space = write_space(tmp_path / "space")
    place = tmp_path / "env"
    quiet: dict[str, Any] = {"capture_output": True, "text": True}
    steps = [
        [uv, "venv", "-q", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "-q", "--python", str(place),
         "-r", str(space / "requirements.txt"), f"gradio=={_front_matter(space)['sdk_version']}"],
    ]  # fmt: skip
    for step in steps:
        done = subprocess.run(step, check=False, timeout=600, **quiet)
        if done.returncode:
            pytest.skip(f"packages cannot be installed here: {done.stderr[-300:]}")
    private = tmp_path / "private"
    private.mkdir()
    environment = {**os.environ, "GRADIO_SERVER_PORT": "0", "TMPDIR": str(private)}
    environment.pop("PYTHONPATH", None)  # the Space's own package, not this tree's
    process = subprocess.Popen(
        [str(place / "bin" / "python"), "app.py"], cwd=space, env=environment, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line, said = "", []
        while "http" not in line:
            line = process.stderr.readline()
            said.append(line)
            assert line, said
        port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
        ask = (
            "import sys, json, httpx\n"
            "from gradio_client import Client, handle_file\n"
            "address = sys.argv[1]\n"
            "assert 'What does a face look like?' in httpx.get(address).text\n"
            "client = Client(address, verbose=False)\n"
            "answer = client.predict(handle_file('sample.jpg'), None, api_name='/predict')\n"
            "print(json.dumps(answer))\n"
        )
        command = [str(place / "bin" / "python"), "-c", ask, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, check=False, cwd=space, timeout=120, **quiet)
        assert done.returncode == 0, done.stderr
        assert '"emotion": "happiness"' in done.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert [path for path in private.rglob("*") if path.is_file()] == []
    finally:
        process.kill()
        process.communicate()
