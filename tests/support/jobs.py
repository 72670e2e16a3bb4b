"""Pictures to read, jobs to kill, a store, and two Ray nodes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.cli.sources import SAMPLE
from support import ROOT
from support.faces import LABELS, draw_face

CLI = (sys.executable, "-m", "mien", "predict")
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}


def read(output: Path) -> Any:
    """Returns all rows of a job, part by part."""
    from pyarrow import parquet

    return parquet.read_table(output)


def parts(output: Path) -> list[str]:
    return sorted(path.name for path in output.glob("part-*.parquet"))


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs ``mien predict`` in a process of its own."""
    return subprocess.run(
        [*CLI, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, **QUIET, **(env or {})},
    )  # fmt: skip


def kill_three_times(arguments: Sequence[object], output: Path, total: int) -> None:
    """Starts a job three times and kills its whole process group at random, half done."""
    rng = random.Random(7)
    for number in range(3):
        least = 1 + number * total // 4 + rng.randrange(max(total // 8, 1))
        process = subprocess.Popen(
            [*CLI, *map(str, arguments), "--resume", "-q"], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, **QUIET},
        )  # fmt: skip
        assert process.stderr is not None
        end = time.monotonic() + 240
        while len(parts(output)) < least:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        assert least <= len(parts(output)) < total
        assert not (output / "_mien" / "summary.json").exists()


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn faces in two folders, one file that is no picture, one that is empty."""
    root = tmp_path_factory.mktemp("jobs") / "faces"
    for index in range(12):
        folder = root / ("a" if index % 2 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        draw_face(LABELS[index % 3], index).save(folder / f"{index:02}.png")
    (root / "a" / "bad.jpg").write_bytes(b"this is no picture")
    (root / "b" / "empty.png").write_bytes(b"")
    (root / "notes.md").write_text("left out")
    (root / ".hidden.png").write_bytes(b"left out")
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-eight photos of one person, in sizes of their own: slow enough to be killed."""
    root = tmp_path_factory.mktemp("jobs") / "photos"
    root.mkdir()
    with Image.open(SAMPLE) as sample:
        for index in range(48):
            side = 320 + 4 * index
            sample.resize((side, side)).save(root / f"{index:02}.jpg")
    return root


@pytest.fixture(scope="session")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The rows of a job over ``photos`` that nothing stopped."""
    from mien.jobs import JobConfig, predict_files

    output = tmp_path_factory.mktemp("jobs") / "whole.parquet"
    summary = predict_files([photos], output, config=JobConfig(workers=1, part_size=2))
    assert (summary.pictures, summary.failed, summary.parts) == (48, 0, 24)
    return read(output)


class Store:
    """An S3 of this process, filled by plain requests."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.env = {
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "AKIATESTKEY",
            "AWS_SECRET_ACCESS_KEY": "hush-hush-secret", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

    def put(self, path: str, data: bytes = b"") -> None:
        self._send("PUT", path, data)

    def check_keys(self, *, after: int) -> None:
        """From so many requests on, only keys that exist are let in."""
        self._send("POST", "moto-api/reset-auth", str(after).encode())

    def _send(self, method: str, path: str, data: bytes) -> None:
        request = urllib.request.Request(f"{self.url}/{path}", data=data, method=method)
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status in {200, 204}


@pytest.fixture(scope="session")
def store(faces: Path) -> Iterator[Store]:
    """A bucket ``photos`` with the drawn faces under ``one/``."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    made = Store(server.get_host_and_port()[1])
    made.put("photos")
    for path in sorted(faces.rglob("*")):
        if path.is_file():
            made.put(f"photos/one/{path.relative_to(faces).as_posix()}", path.read_bytes())
    yield made
    server.stop()


class Nodes:
    """Two Ray nodes in a process of their own; see ``two_nodes.py``."""

    def __init__(self) -> None:
        script = ROOT / "tests" / "support" / "two_nodes.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, **QUIET},
        )  # fmt: skip
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def started(self) -> bool:
        return bool(self.address)

    def kill_second(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "killed\n"

    def stop(self) -> str:
        trouble = self._process.communicate(timeout=120)[1]
        lines = trouble.strip().splitlines()
        return lines[-1] if lines else "it says nothing"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two machines of one CPU each, for the tests of one module."""
    pytest.importorskip("ray")
    made = Nodes()
    if not made.started():
        # Ray gives its own processes fifteen seconds to start, which nothing can change.
        pytest.skip(f"Ray does not start on this machine: {made.stop()}")
    yield made
    made.stop()
