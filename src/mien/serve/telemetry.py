"""Logs as JSON lines, and metrics: what happened, never what was in a picture, a name or a key."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mien.results import ErrorResult, ImageResult
    from mien.serve.admission import AdmissionQueue

LOGGER = logging.getLogger("mien.serve")
#: The variable by which prometheus-client shares numbers between processes.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_LOGGERS = ("mien.serve", "uvicorn", "uvicorn.error", "uvicorn.access")
_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object; ``extra={"fields": {...}}`` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Logs one event."""
    LOGGER.log(level, event, extra={"fields": fields})


def set_up_logs(level: str) -> None:
    """Sends mien's and uvicorn's logs to stderr as JSON; uvicorn's access log stays off."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("mien.serve", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [] if name == "uvicorn.error" else [handler]
        logger.propagate = name == "uvicorn.error"
        logger.setLevel(level.upper())
    # What uvicorn says of itself is for debugging: its addresses and counts are logged by us.
    if level != "debug":
        logging.getLogger("uvicorn").setLevel("WARNING")
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False


@contextmanager
def logs(level: str) -> Iterator[None]:
    """As :func:`set_up_logs`, until the context ends."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    set_up_logs(level)
    try:
        yield
    finally:
        for logger, (handlers, propagate, old) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(old)


class Metrics:
    """The service's counters; each application has its own."""

    def __init__(self, queue: AdmissionQueue) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = registry = CollectorRegistry()
        counter = functools.partial(Counter, registry=registry)
        histogram = functools.partial(Histogram, registry=registry)
        self.requests = counter("mien_requests", "Requests answered.", ["route", "status"])
        self.latency_s = histogram(
            "mien_request_seconds", "Time to answer.", ["route"], buckets=_LATENCY_S
        )
        self.pictures = counter("mien_pictures", "Pictures answered.", ["outcome"])
        self.faces = counter("mien_faces", "Faces read.", ["model"])
        self.batch_faces = histogram(
            "mien_batch_faces", "Faces in one network run.", buckets=_FACES
        )
        self.dropped_frames = counter(
            "mien_dropped_frames", "Frames of streams that a newer one replaced."
        )
        self._waiting = Gauge(
            "mien_queue_pictures", "Pictures accepted and not answered yet.",
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._queue, self._shared = queue, SHARED in os.environ
        if not self._shared:
            self._waiting.set_function(lambda: queue.pictures)

    def count(self, results: Iterable[ImageResult | ErrorResult], model: str) -> None:
        """Counts pictures and faces."""
        for result in results:
            faces = getattr(result, "faces", None)
            outcome = "unreadable" if faces is None else "faces" if faces else "no_face"
            self.pictures.labels(outcome).inc()
            if faces:
                self.faces.labels(model).inc(len(faces))

    def track_queue(self) -> None:
        """Writes the queue's length where other processes read it."""
        if self._shared:
            self._waiting.set(self._queue.pictures)

    def text(self) -> tuple[bytes, str]:
        """Returns the exposition and its content type; over all processes where there are more."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        registry = self._registry
        if self._shared:
            from prometheus_client.multiprocess import MultiProcessCollector

            self.track_queue()
            registry = CollectorRegistry()
            collect: Any = MultiProcessCollector
            collect(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
