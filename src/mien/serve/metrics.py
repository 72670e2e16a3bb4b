"""Prometheus metrics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.serve.admission import AdmissionQueue

#: The variable by which prometheus-client shares numbers between processes.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The service's counters; each application has its own."""

    def __init__(self, queue: AdmissionQueue) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter(
            "mien_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.latency_s = Histogram(
            "mien_request_seconds",
            "Time to answer.",
            ["route"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.pictures = Counter(
            "mien_pictures", "Pictures answered.", ["outcome"], registry=registry
        )
        self.faces = Counter("mien_faces", "Faces read.", ["model"], registry=registry)
        self.batch_faces = Histogram(
            "mien_batch_faces", "Faces in one network run.", buckets=_FACES, registry=registry
        )
        self.dropped_frames = Counter(
            "mien_dropped_frames", "Frames of streams that a newer one replaced.", registry=registry
        )
        waiting = Gauge(
            "mien_queue_pictures", "Pictures accepted and not answered yet.",
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._waiting, self._queue = waiting, queue
        self._shared = SHARED in os.environ
        if not self._shared:
            waiting.set_function(lambda: queue.pictures)

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
