"""The local engine: parts over the processes of this machine, without Ray."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import TYPE_CHECKING

from mien.errors import MienError
from mien.jobs.work import answer_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.jobs.config import JobConfig
    from mien.jobs.work import Answer, Part
    from mien.recognizer import EmotionRecognizer

#: Parts that are handed out for each process; more would only be held in memory.
_AHEAD = 2
_worker: tuple[EmotionRecognizer, int]


def run_local(
    config: JobConfig, parts: Iterator[Part], *, recognizer: EmotionRecognizer
) -> Iterator[Answer]:
    """Answers parts in processes, in any order; a single worker is this process itself.

    Raises:
        InputError: If a store does not answer any more.
        MienError: If a process is killed.
    """
    if config.processes == 1:
        for part in parts:
            yield answer_part(recognizer, part, readers=config.readers)
        return
    pool = ProcessPoolExecutor(
        config.processes, multiprocessing.get_context("spawn"), _open, (config,)
    )
    pending: set[Future[Answer]] = set()
    try:
        while True:
            room = _AHEAD * config.processes - len(pending)
            pending |= {pool.submit(_answer, part) for part in islice(parts, room)}
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise MienError(
            "a worker process was killed, most often by the system for want of memory",
            hint="What is finished stays: add --resume and fewer --workers.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _open(config: JobConfig) -> None:
    """Loads the model, once per process."""
    # The job itself handles Ctrl-C, and lets what is under way come to its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _worker  # noqa: PLW0603 - what a pool's process keeps has no other place
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _worker = config.open_recognizer(), config.readers


def _leave_with_parent() -> None:
    """Ends this process when the job's own is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _answer(part: Part) -> Answer:
    recognizer, readers = _worker
    return answer_part(recognizer, part, readers=readers, worker=f"process {os.getpid()}")
