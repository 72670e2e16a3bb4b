"""What a killed job leaves behind: nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from support.jobs import CLI, QUIET, parts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")

#: Starts one process before, and one in the context that has a child of its own.
JOB = """
import subprocess, sys, time
from mien.jobs.watch import ended_with_job
sleep = "import time; time.sleep(120)"
before = subprocess.Popen([sys.executable, "-c", sleep])
with ended_with_job():
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r])" % sleep
    helper = subprocess.Popen([sys.executable, "-c", child])
time.sleep(6)  # they live as long as it does
print(before.pid, helper.pid, flush=True)
time.sleep(120)
"""


def _gone(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits, and returns those that are still there."""
    end = time.monotonic() + seconds
    while True:
        left = []
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(process)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def test_helpers_end_with_a_killed_job_and_nothing_else_does() -> None:
    job = subprocess.Popen([sys.executable, "-c", JOB], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    before, helper = map(int, job.stdout.readline().split())
    helpers = [psutil.Process(helper), *psutil.Process(helper).children(recursive=True)]
    assert len(helpers) == 2
    job.kill()
    job.wait()
    job.stdout.close()
    assert _gone(helpers, 30) == []
    other = psutil.Process(before)
    assert other.is_running()
    other.kill()


def test_no_helper_of_ray_outlives_a_killed_job(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    output = tmp_path / "killed.parquet"
    arguments = [str(photos), "-o", str(output), "--engine", "ray", "-j", "1", "--part-size", "1"]
    job = subprocess.Popen(
        [*CLI, *arguments, "-q"], stderr=subprocess.DEVNULL, env={**os.environ, **QUIET}
    )
    while not parts(output):
        assert job.poll() is None
        time.sleep(0.01)
    helpers = psutil.Process(job.pid).children(recursive=True)
    assert any("raylet" in process.name() for process in helpers)
    job.send_signal(signal.SIGKILL)  # the job alone, not its group
    job.wait()
    assert _gone(helpers, 60) == []
