"""Runs a program and writes down when its first step and its training were done.

``python measure.py PROGRAM STAMPS.json UNTIL STARTED``: a stamp is wall seconds since STARTED
(seconds of the epoch) and CPU seconds. It runs in each tool's environment, all of which train with
PyTorch: the first step is over when the second backward pass begins, the training where the
program's comment says ``# trained``. The program ends at the stamp UNTIL.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import torch


class Stamps:
    """Times by name, written to a file as they come."""

    def __init__(self, path: Path, until: str, started: float) -> None:
        self.path, self.until, self.started = path.resolve(), until, started
        self.times: dict[str, list[float]] = {}

    def add(self, name: str) -> None:
        cpu = os.times()
        self.times[name] = [time.time() - self.started, cpu.user + cpu.system]
        self.path.write_text(json.dumps(self.times))
        if name == self.until:
            os._exit(0)


def count_steps(stamps: Stamps) -> None:
    """Stamps the second backward pass."""
    passes, backward = 0, torch.Tensor.backward

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes == 2:
            stamps.add("first_step")
        return backward(*arguments, **options)

    torch.Tensor.backward = counted  # type: ignore[method-assign]


def main() -> None:
    program, output, until, started = sys.argv[1:]
    stamps = Stamps(Path(output), until, float(started))
    count_steps(stamps)
    source = Path(program).read_text()
    source = re.sub(r"^# trained$", "stamps.add('trained')", source, flags=re.MULTILINE)
    sys.argv = [program]
    exec(compile(source, program, "exec"), {"__name__": "__main__", "stamps": stamps})
    stamps.add("whole")


if __name__ == "__main__":
    main()
