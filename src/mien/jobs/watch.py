"""Ends the helpers that a killed job leaves: ``python -m mien.jobs.watch PID...``.

Some of Ray's helpers live on when the process that started them is killed. This small process knows
them and what they start; its stdin closes when the job is gone, however it went.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mien.errors import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Seconds after which what the helpers started is listed anew, and to end by themselves.
_LIST_S, _GRACE_S = 1.0, 3.0
#: The watching processes: their pipes stay open as long as this process lives.
_WATCHING: list[subprocess.Popen[bytes]] = []


@contextmanager
def ended_with_job() -> Iterator[None]:
    """Ends what this process starts in the context, once it is gone.

    What is started by other threads at the same time counts too: keep the context short.
    """
    if os.name == "nt":  # where pipes cannot be waited for like this
        yield
        return
    here = import_extra("psutil", "a job on Ray", "jobs").Process()
    before = set(here.children())
    yield
    started = [str(child.pid) for child in here.children() if child not in before]
    # In a session of its own, so that what kills the job's process group does not kill it; and
    # without the job's own output, whose readers would wait for it.
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and numbers
        [sys.executable, "-m", __name__, *started], stdin=subprocess.PIPE, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _WATCHING[:] = [other for other in _WATCHING if other.poll() is None]
    _WATCHING.append(process)


def watch(numbers: Sequence[int], stdin: Any) -> None:
    """Waits until ``stdin`` closes or all processes are gone; ends what is left of them."""
    import psutil

    helpers: set[psutil.Process] = set()
    for number in numbers:
        with suppress(psutil.Error):
            helpers.add(psutil.Process(number))
    open_ = True
    while open_ and helpers:
        for helper in list(helpers):
            with suppress(psutil.Error):
                helpers.update(helper.children(recursive=True))
        helpers = {helper for helper in helpers if helper.is_running()}
        readable, _, _ = select.select([stdin], [], [], _LIST_S)
        open_ = not readable or bool(stdin.read(1))
    _, left = psutil.wait_procs(list(helpers), timeout=_GRACE_S)
    for helper in left:
        with suppress(psutil.Error):
            helper.kill()


if __name__ == "__main__":
    watch([int(number) for number in sys.argv[1:]], sys.stdin.buffer)
