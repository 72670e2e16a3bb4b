from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from support.jobs import CLI, QUIET, kill_three_times, parts, read, run


def test_killed_three_times_it_ends_with_the_same_rows(
    photos: Path, undisturbed: Any, tmp_path: Path
) -> None:
    output = tmp_path / "killed.parquet"
    arguments = (photos, "-o", output, "-j", 2, "--part-size", 2)
    kill_three_times(arguments, output, 24)
    there = len(parts(output))
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"{2 * there} were done before" in done.stdout
    assert read(output).equals(undisturbed)
    assert sorted(path.name for path in output.iterdir()) == ["_mien", *parts(output)]


def test_killed_worker_is_an_error_that_can_be_resumed(
    photos: Path, undisturbed: Any, tmp_path: Path
) -> None:
    output = tmp_path / "worker.parquet"
    arguments = (str(photos), "-o", str(output), "-j", "2", "--part-size", "2")
    process = subprocess.Popen(
        [*CLI, *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **QUIET}
    )
    while not parts(output):
        assert process.poll() is None
        time.sleep(0.002)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    workers[0].send_signal(signal.SIGKILL)
    message = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "a worker process was killed" in message
    assert "--resume" in message
    assert run(*arguments, "--resume").returncode == 0
    assert read(output).equals(undisturbed)
