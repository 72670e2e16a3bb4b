"""The Ray engine: parts over the processes of this machine or of a cluster.

A part is one Ray task that reads, decodes, detects and classifies; a process that has loaded the
model keeps it for all its tasks. Tasks hold no state, so those of a machine that dies are run
again on another, and machines that join are used. Only a few parts a CPU are handed out at a
time: neither this process nor Ray's object store ever holds more.
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.atomic import environment
from mien.errors import MienError, MissingExtraError
from mien.jobs.stages import run_stages
from mien.jobs.work import answer_part
from mien.jobs.workers import cpus, pack_model, worker_recognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.jobs.config import JobConfig
    from mien.jobs.work import Answer, Part
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


@contextmanager
def connected(config: JobConfig) -> Iterator[Any]:
    """Yields ``ray``, connected to the cluster of ``config.address`` or to one made here.

    A connection of the caller is used, and stays. Ray reports nothing to its makers and opens no
    dashboard.

    Raises:
        MissingExtraError: If Ray is not installed.
        MienError: If the cluster cannot be reached, or Ray does not start.
    """
    with environment(_QUIET, keep=True):
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("--engine ray", "jobs", "ray") from error
        if ray.is_initialized():
            yield ray
            return
        try:
            _start(ray, config)
            yield ray
        finally:
            ray.shutdown()


def _start(ray: Any, config: JobConfig) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if config.address is None:
        options |= {
            "num_cpus": config.processes, "include_dashboard": False,
            "object_store_memory": config.object_store_mb * 1_000_000,
        }  # fmt: skip
    try:
        _check_port(config.address)
        ray.init(config.address or "local", **options)
    except Exception as error:  # Ray's own are of many kinds, bare Exception among them
        reason = _first_line(error)[:300]
        if config.address is None:
            raise MienError(
                f"Ray does not start on this machine: {reason}",
                hint="Is it busy, or short of memory? Try again, or type --engine local.",
            ) from error
        raise MienError(
            f"cannot be reached: {reason}",
            subject=f"the Ray cluster {config.address}",
            hint="See that it runs (ray status), and give --address auto on one of its machines, "
            "HOST:PORT, or ray://HOST:10001.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_port(address: str | None) -> None:
    """Tries a cluster's port: where nobody answers, Ray would end this whole process.

    Raises:
        OSError: If nobody answers.
        ValueError: If the address has no port.
    """
    if address is None or address == "auto":
        return
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    socket.create_connection((host or port, int(port)), timeout=_PORT_S).close()


def run_ray(
    config: JobConfig, left: Callable[[], Iterator[Part]], *, recognizer: EmotionRecognizer
) -> Iterator[Answer]:
    """Answers the parts that are left on a Ray cluster, in any order.

    Args:
        config: The job's settings.
        left: Returns the parts that are not done; split stages call it again after a loss.
        recognizer: The caller's, whose model the workers get.

    Raises:
        MissingExtraError: If Ray is not installed.
        MienError: If the cluster cannot be reached, or a part fails on it again and again.
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
                f"the Ray cluster lost its head, or a part {_RETRIES} times: {_first_line(error)}",
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
    pending: set[Any] = set()
    slots, since, more = cpus(ray, config), time.monotonic(), True
    while more or pending:
        while more and len(pending) < _AHEAD * slots:
            part = next(parts, None)
            more = part is not None
            if more:
                pending.add(task.remote(config, part, carried, __version__))
        if not pending:
            return
        done, _ = ray.wait(list(pending), num_returns=1, timeout=_RESIZE_S)
        for ref in done:
            pending.discard(ref)
            yield ray.get(ref)
        if time.monotonic() - since > _RESIZE_S:
            slots, since = cpus(ray, config), time.monotonic()


def _answer(config: JobConfig, part: Part, carried: list[Any], version: str) -> Answer:
    import ray

    node = ray.get_runtime_context().get_node_id()
    recognizer = worker_recognizer(config, carried, version)
    return answer_part(recognizer, part, readers=config.readers, worker=f"node {node}")
