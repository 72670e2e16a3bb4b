"""A real server in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

START = "import mien.cli as cli; cli.VERBS.setdefault('serve', 'Answer over HTTP.'); cli.main()"


class Server:
    """``mien serve`` on a free port of the loopback."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                START,
                "serve",
                *(["--port", "0"] if "--port" not in arguments else []),
                *arguments,
            ],
            stderr=self.log,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
        try:
            self.url: str = self._wait_for("listening")["url"]
            self.port = int(self.url.rpartition(":")[2])
            end = time.monotonic() + 60
            while httpx.get(self.url + "/readyz", timeout=20).status_code != 200:
                assert time.monotonic() < end, self.lines()
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise

    def _wait_for(self, event: str) -> dict[str, Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for line in self.lines():
                if line.get("event") == event:
                    return line
            assert self.process.poll() is None, self.text()
            time.sleep(0.02)
        raise AssertionError(self.text())

    def text(self) -> str:
        self.log.flush()
        return Path(f"/proc/self/fd/{self.log.fileno()}").read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """All that the process has said: each line is an object of JSON."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.lines()
        self.log.close()
        return code
