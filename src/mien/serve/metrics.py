"""Metrics for Prometheus: what happened, never what was in a picture, a name or a key."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import CollectorRegistry

    from mien.results import ErrorResult, ImageResult
    from mien.serve.admission import AdmissionQueue
    from mien.serve.batcher import Run
    from mien.serve.config import ServeConfig

#: The variable by which prometheus-client shares numbers between processes.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STEP_S = (0.0005, 0.001, 0.0025, *_REQUEST_S)
_FACES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The service's counters; each application has its own."""

    def __init__(self, queue: AdmissionQueue) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = registry = CollectorRegistry()
        counter = functools.partial(Counter, registry=registry)
        histogram = functools.partial(Histogram, registry=registry)
        self.requests = counter("mien_requests", "Requests answered.", ["route", "status"])
        self.latency_s = histogram(
            "mien_request_seconds", "Time to answer.", ["route"], buckets=_REQUEST_S
        )
        self.rejections = counter(
            "mien_rejections", "Requests and frames that were not answered, and why.", ["reason"]
        )
        self.pictures = counter("mien_pictures", "Pictures answered.", ["outcome"])
        self.faces = counter("mien_faces", "Faces read.", ["model"])
        self.batch_faces = histogram(
            "mien_batch_faces", "Faces in one network run.", buckets=_FACES
        )
        self.waits_s = histogram(
            "mien_wait_seconds", "Time before a step: a thread that decodes, a run of the network.",
            ["step"], buckets=_STEP_S,
        )  # fmt: skip
        self.model_s = histogram(
            "mien_model_seconds", "Time of a network run.", ["model"], buckets=_STEP_S
        )
        self.detector_s = histogram(
            "mien_detector_seconds", "Time to find a picture's faces.", ["detector"],
            buckets=_STEP_S,
        )  # fmt: skip
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

    def observe_run(self, model: str, run: Run) -> None:
        """Notes a run of a network."""
        self.batch_faces.observe(run.faces)
        self.model_s.labels(model).observe(run.took_s)
        for waited_s in run.waited_s:
            self.waits_s.labels("batch").observe(waited_s)

    def track_queue(self) -> None:
        """Writes the queue's length where other processes read it."""
        if self._shared:
            self._waiting.set(self._queue.pictures)

    def text(self) -> tuple[bytes, str]:
        """Returns the exposition and its content type; over all processes where there are more."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        self.track_queue()
        registry = shared_registry() if self._shared else self.registry
        return generate_latest(registry), CONTENT_TYPE_LATEST


def shared_registry() -> CollectorRegistry:
    """Returns the numbers of all processes; :data:`SHARED` says where they write them."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    collect: Any = MultiProcessCollector
    collect(registry)
    return registry


@contextmanager
def metrics_port(config: ServeConfig, registry: CollectorRegistry) -> Iterator[None]:
    """Serves the metrics without a key on a port of their own, where the settings name one."""
    if not config.metrics_port:
        yield
        return
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(config.metrics_port, config.host, registry)
    except OSError as error:
        reason = f"cannot listen on {config.host}:{config.metrics_port}: {error.strerror or error}"
        raise ConfigError(reason, hint="Choose another with --metrics-port.") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
