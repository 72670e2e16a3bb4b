"""Fresh processes: how long to the first answer, and how much memory at most."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What anybody writes first; the second line it prints is its peak after twenty more answers.
_PROGRAM = """
import json, sys
from mien import EmotionRecognizer
photo, options = sys.argv[1], json.loads(sys.argv[2])
recognizer = EmotionRecognizer(**options)
print(len(recognizer.predict(photo).faces), flush=True)
for _ in range(20):
    recognizer.predict(photo)
from mien.benchmarking.processes import peak_bytes
print(peak_bytes(), flush=True)
"""


class FreshProcess(NamedTuple):
    """What one fresh process said; its peak is None where the system does not tell."""

    start_s: float
    peak_bytes: int | None
    answer: str


def peak_bytes() -> int | None:
    """Returns the most memory that this process held so far, in bytes; None if nobody knows.

    Linux gives it as ``VmHWM``. ``ru_maxrss`` would not do there: it outlives ``exec``, so that a
    child starts with its parent's peak. It counts bytes on macOS and kilobytes elsewhere.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return _rusage_peak()


def _rusage_peak() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def run_fresh(command: Sequence[str]) -> FreshProcess:
    """Runs a program that prints its first answer, then its peak in bytes (or ``None``)."""
    # A file, not a pipe: nobody empties a pipe while the first line is waited for.
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        start = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - the caller's own program
            list(command), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process:
            if process.stdout is None:  # pragma: no cover - it is a pipe
                raise ModelError("a fresh process has no output.")
            answer = process.stdout.readline().strip()
            start_s = time.perf_counter() - start
            rest = process.stdout.read()
        errors.seek(0)
        said = errors.read()
    last = (rest.strip().splitlines() or [""])[-1]
    if process.returncode or not answer or not (last.isdecimal() or last == "None"):
        reason = (said.strip().splitlines() or ["it printed nothing"])[-1]
        raise ModelError(f"a fresh process failed (code {process.returncode}): {reason}")
    return FreshProcess(start_s, int(last) if last.isdecimal() else None, answer)


def first_answer(photo: Path, options: Mapping[str, Any]) -> FreshProcess:
    """Starts Python anew, opens a recognizer with JSON ``options`` and reads one photo."""
    command = [sys.executable, "-c", _PROGRAM, str(photo.resolve()), json.dumps(options)]
    return run_fresh(command)
