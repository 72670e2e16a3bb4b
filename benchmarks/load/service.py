"""Starts ``mien serve`` on a free port of the loopback and watches its own memory."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).parents[2] / "src/mien/assets/sample/astronaut.jpg"


def own_bytes(process: psutil.Process) -> int:
    """Returns the memory that a process has taken for itself, in bytes; elsewhere than on Linux all
    that is resident.

    Mapped files are not counted: a machine that is short of memory throws them out, and reads them
    again when they are needed.
    """
    with contextlib.suppress(OSError, KeyError):  # it may be ending
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return 1024 * sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap"))
    return int(process.memory_info().rss)


class Service:
    """A running server.

    Args:
        *flags: Flags of ``mien serve``.
    """

    def __init__(self, *flags: str) -> None:
        self._log = Path(tempfile.mkdtemp()) / "log"
        with self._log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mien", "serve", "--port", "0", *flags], stderr=stream
            )
        self.memory_mb: list[tuple[float, float]] = []
        try:
            self.url = self._wait()
        except BaseException:
            self.stop()
            raise
        self.port = int(self.url.rpartition(":")[2])
        threading.Thread(target=self._watch, daemon=True).start()

    def lines(self) -> list[dict[str, Any]]:
        """Returns what the server has said."""
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _wait(self) -> str:
        end, url = time.monotonic() + 60, ""
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.lines():
                if line["event"] == "listening":
                    url = line["url"]
            with contextlib.suppress(OSError, ValueError):
                if urllib.request.urlopen(url + "/readyz", timeout=5).status == 200:
                    return url
            time.sleep(0.05)
        raise RuntimeError(self._log.read_text()[-2000:])

    def _watch(self) -> None:
        start = time.monotonic()
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            while True:
                family = [process, *process.children(recursive=True)]
                size = sum(map(own_bytes, family))
                self.memory_mb.append((time.monotonic() - start, size / 1e6))
                time.sleep(1)

    def memory_at(self, second: float) -> float:
        """Returns the median memory in the ten seconds up to a time, megabytes."""
        near = sorted(size for t, size in self.memory_mb if second - 10 <= t <= second)
        return near[len(near) // 2] if near else float("nan")

    def stop(self) -> int:
        """Ends it and returns its exit code."""
        self.process.terminate()
        return self.process.wait(60)


@contextlib.contextmanager
def running(*flags: str) -> Iterator[Service]:
    """Starts a server, and ends it."""
    service = Service(*flags)
    try:
        yield service
    finally:
        service.stop()
