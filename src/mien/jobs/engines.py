"""The engines: parts over processes of this machine, or over a Ray cluster.

With Ray a part is one task that reads, decodes, detects and classifies; a process that has loaded
the model keeps it for all its tasks. Tasks hold no state, so those of a machine that dies are run
again on another, and machines that join are used. Either way only a few parts per CPU are handed
out at a time: neither this process nor Ray's object store ever holds more.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import islice
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.atomic import environment
from mien.errors import MienError, import_extra
from mien.jobs.config import JobConfig
from mien.jobs.stages import run_stages
from mien.jobs.stores import first_line
from mien.jobs.watch import ended_with_job
from mien.jobs.work import Answer, Part, answer_part, cpus, pack_model, worker_recognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.recognizer import EmotionRecognizer

#: Parts that are handed out for each CPU, and how often a part's machine may die.
_AHEAD, _RETRIES = 2, 8
#: Seconds after which the size of the cluster is asked again, and for its port to answer.
_RESIZE_S, _PORT_S = 10.0, 10.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # Otherwise Ray's own helpers would have a higher priority than the workers at each start.
    "RAY_worker_niceness": "0",
}
#: What a process of the pool loads once.
_opened = lru_cache(maxsize=1)(JobConfig.open_recognizer)


def run_local(
    config: JobConfig, parts: Iterator[Part], *, recognizer: EmotionRecognizer
) -> Iterator[Answer]:
    """Answers parts in processes, in any order; a single worker is this process itself."""
    if config.processes == 1:
        for part in parts:
            yield answer_part(recognizer, part, readers=config.readers)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(config.processes, context, _open, (config,))
    pending: set[Future[Answer]] = set()
    try:
        while True:
            room = _AHEAD * config.processes - len(pending)
            pending |= {pool.submit(_answer_here, config, part) for part in islice(parts, room)}
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        reason = "a worker process was killed, most often by the system for want of memory"
        hint = "What is finished stays: add --resume and fewer --workers."
        raise MienError(reason, hint=hint) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _open(config: JobConfig) -> None:
    # The job itself handles Ctrl-C, and lets what is under way come to its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _opened(config)


def _leave_with_parent() -> None:
    """Ends this process when the job's own is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _answer_here(config: JobConfig, part: Part) -> Answer:
    worker = f"process {os.getpid()}"
    return answer_part(_opened(config), part, readers=config.readers, worker=worker)


@contextmanager
def connected(config: JobConfig) -> Iterator[Any]:
    """Yields ``ray``, connected to the cluster of ``config.address`` or to one made here.

    A connection of the caller is used, and stays. Ray reports nothing to its makers and opens no
    dashboard.
    """
    with environment(_QUIET, keep=True):
        ray = import_extra("ray", "--engine ray", "jobs")
        if ray.is_initialized():
            yield ray
            return
        try:
            _start(ray, config)
            yield ray
        finally:
            ray.shutdown()


def _start(ray: Any, config: JobConfig) -> None:
    address, here = config.address, dict[str, Any]()
    if address is None:
        here = {
            "num_cpus": config.processes, "include_dashboard": False,
            "object_store_memory": config.object_store_mb * 1_000_000,
        }  # fmt: skip
    try:
        _check_port(address)
        with ended_with_job() if address is None else nullcontext():
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:  # Ray's own are of many kinds, bare Exception among them
        reason = first_line(error)
        if address is None:
            hint = "Is it busy, or short of memory? Try again, or type --engine local."
            raise MienError(f"Ray does not start on this machine: {reason}", hint=hint) from error
        raise MienError(
            f"cannot be reached: {reason}",
            subject=f"the Ray cluster {address}",
            hint="See that it runs (ray status), and give --address auto on one of its machines, "
            "HOST:PORT, or ray://HOST:10001.",
        ) from error


def _check_port(address: str | None) -> None:
    """Tries a cluster's port: where nobody answers, Ray would end this whole process."""
    if address is None or address == "auto":
        return
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    socket.create_connection((host or port, int(port)), timeout=_PORT_S).close()


def run_ray(
    config: JobConfig, left: Callable[[], Iterator[Part]], *, recognizer: EmotionRecognizer
) -> Iterator[Answer]:
    """Answers the parts that are left on a Ray cluster, in any order.

    Split stages call ``left`` again after a loss; the workers get the recognizer's model.
    """
    with connected(config) as ray:
        carried = [ray.put(pack_model(recognizer.folder, config.backend))]
        try:
            if config.stages == "split":
                yield from run_stages(ray, config, left, carried, recognizer=recognizer)
            else:
                yield from _fused(ray, config, left(), carried)
        except ray.exceptions.RayTaskError as error:
            raise _reason(error) from None
        except ray.exceptions.RayError as error:
            raise MienError(
                f"the Ray cluster lost its head, or a part {_RETRIES} times: {first_line(error)}",
                hint="What is finished stays: add --resume.",
            ) from error


def _reason(error: Any) -> MienError:
    """Returns what a task raised; Ray Data wraps it once more."""
    cause: BaseException | None = error.cause
    while cause is not None and not isinstance(cause, MienError):
        cause = cause.__cause__
    return cause or MienError(f"a worker failed: {(str(error).splitlines() or [''])[-1]}")


def _fused(
    ray: Any, config: JobConfig, parts: Iterator[Part], carried: list[Any]
) -> Iterator[Answer]:
    task = ray.remote(_answer).options(
        num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD"
    )
    pending: list[Any] = []
    slots, since = cpus(ray, config), time.monotonic()
    while True:
        more = islice(parts, max(_AHEAD * slots - len(pending), 0))
        pending += [task.remote(config, part, carried, __version__) for part in more]
        if not pending:
            return
        done, pending = ray.wait(pending, num_returns=1, timeout=_RESIZE_S)
        yield from map(ray.get, done)
        if time.monotonic() - since > _RESIZE_S:
            slots, since = cpus(ray, config), time.monotonic()


def _answer(config: JobConfig, part: Part, carried: list[Any], version: str) -> Answer:
    import ray

    node = ray.get_runtime_context().get_node_id()
    recognizer = worker_recognizer(config, carried, version)
    return answer_part(recognizer, part, readers=config.readers, worker=f"node {node}")
