"""Processes that can be killed, and that do not import torch anew each time.

A server process imports what training and its export need once; the processes of tests are forked
from it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from mien.atomic import environment as changed_environment
from support import ROOT

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([
    "mien.training.run", "mien.training.cross_validation", "mien.training.tuning.run",
    "mien.evaluation", "mien.cli.train", "mien.cli.tune", "support.exporter_ready",
    "torch._dynamo", "matplotlib.backends.backend_agg", "mien.training.pictures",
])  # fmt: skip


def _run(program: str, words: tuple[str, ...], log: Path, environment: Mapping[str, str]) -> None:
    """Is the process: standard output and errors go to files."""
    from mien.cli import main

    os.setpgid(0, 0)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "out"), (2, "err")):
        with log.with_suffix(f".{name}").open("wb") as stream:
            os.dup2(stream.fileno(), number)
    if not program:
        main(words)
    sys.argv = ["-c", *words]
    exec(compile(program, "<test>", "exec"), {"__name__": "__main__"})


@dataclass(frozen=True)
class Command:
    """A process that runs."""

    process: BaseProcess
    log: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def out(self) -> str:
        """What it printed so far."""
        return self.log.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        """What it said on standard error so far."""
        return self.log.with_suffix(".err").read_text()

    def poll(self) -> int | None:
        """Returns the exit code, None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float = 300) -> int:
        """Waits for the end and returns the exit code."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running after {timeout} s: {self.err}"
        return self.process.exitcode

    def wait_for(self, path: Path, timeout: float = 300) -> None:
        """Waits until a file is there, which the process is to write."""
        deadline = time.monotonic() + timeout
        while not path.exists():
            assert self.poll() is None, f"it ended before {path.name} was there: {self.err}"
            assert time.monotonic() < deadline, path
            time.sleep(0.005)

    def kill(self) -> None:
        """Ends it as ``kill -9`` does."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.join()


def start(
    *words: str, log: Path, environment: Mapping[str, str] | None = None, program: str = ""
) -> Command:
    """Starts ``mien`` with the words of a command line, or Python code that finds them in argv.

    ``log`` names the two files of its output.
    """
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    with changed_environment({"PYTHONPATH": path}):  # the server imports from here too
        forkserver.ensure_running()
    process = _FORKS.Process(
        target=_run, args=(program, words, log, environment or {}), daemon=True
    )
    process.start()
    return Command(process, log)
