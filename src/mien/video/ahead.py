"""An iterator that runs in a thread, a few items ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_T = TypeVar("_T")


def ahead(items: Iterator[_T], depth: int) -> Generator[_T, None, None]:
    """Yields the items of an iterator that runs in a thread, at most ``depth`` ahead.

    >>> list(ahead(iter(range(3)), 2))
    [0, 1, 2]
    """
    box: queue.Queue[tuple[bool, Any]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(entry: tuple[bool, Any]) -> None:
        while not stop.is_set():
            try:
                box.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stop.is_set():
                    return
            put((False, None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            put((False, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="mien-decode", daemon=True)
    thread.start()
    try:
        while True:
            more, value = box.get()
            if more:
                yield value
                continue
            if value is not None:
                raise value
            return
    finally:
        stop.set()
        thread.join()
