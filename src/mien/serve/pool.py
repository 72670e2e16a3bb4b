"""The threads that decode and detect."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

#: How much the working threads yield to the event loop, as ``nice`` counts it.
_NICE = 5


def step_back() -> None:
    """Lowers this thread's priority, so that the event loop can say 503 on a full machine.

    Linux keeps a priority for each thread, and new threads inherit it; elsewhere nothing is done.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def open_pool(threads: int) -> ThreadPoolExecutor:
    """Returns a pool of low-priority threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="mien-decode", initializer=step_back)
