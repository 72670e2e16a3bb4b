"""Running the application: sockets, processes, signals."""

from __future__ import annotations

import functools
import os
import signal
import socket
import tempfile
from typing import TYPE_CHECKING

from mien.atomic import environment, handled
from mien.errors import ConfigError, ModelError, needs_extra
from mien.serve.access import load_keys
from mien.serve.metrics import SHARED, metrics_port, shared_registry
from mien.serve.telemetry import log, logs, set_up_logs

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mien.serve.config import ServeConfig


def serve(config: ServeConfig) -> None:
    """Runs the service until SIGTERM or SIGINT; what was accepted is finished first."""
    with needs_extra("mien serve", "serve"):
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    check(config)
    with bind(config) as listener, logs(config.log_level):
        _run(config, listener)


def _run(config: ServeConfig, listener: socket.socket) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    # Imported by name in each process, before its parent may ask whether it lives: keep it light.
    from mien.serve.protocol import IdleConnections, LimitedProtocol

    host, port = listener.getsockname()[:2]
    if host not in ("127.0.0.1", "::1") and not load_keys(config):
        log("open to the network without API keys", 30, host=host)
    alone = config.workers == 1
    app = make_app(config) if alone else None
    settings = uvicorn.Config(
        app or functools.partial(make_app, config), factory=not alone, http=LimitedProtocol,
        workers=config.workers, lifespan="on", log_config=None, access_log=False,
        server_header=False, ws_max_size=config.max_body, limit_concurrency=config.max_connections,
        timeout_graceful_shutdown=int(config.shutdown_s), timeout_keep_alive=20,
    )  # fmt: skip
    settings.header_timeout_s = config.header_timeout_s  # type: ignore[attr-defined]
    settings.idle = IdleConnections(config.max_idle)  # type: ignore[attr-defined]
    # A process that loads models on a full machine is alive, though it answers late.
    settings.timeout_worker_healthcheck = 30
    log("listening", url=f"http://{host}:{port}", workers=config.workers, pid=os.getpid())
    if app is not None:
        # uvicorn raises the signal again when all is answered; by then there is nothing to kill.
        registry = app.state.engine.metrics.registry
        with metrics_port(config, registry), handled(lambda *_: None, signal.SIGTERM):
            uvicorn.Server(settings).run(sockets=[listener])
        return
    folders = tempfile.TemporaryDirectory(prefix="mien-metrics-", ignore_cleanup_errors=True)
    with (
        folders as folder,
        environment({SHARED: folder}),
        metrics_port(config, shared_registry()),
    ):
        Multiprocess(settings, sockets=[listener]).run()


def make_app(config: ServeConfig) -> FastAPI:
    """Builds the application in the process that runs it."""
    from mien.serve.app import create_app

    set_up_logs(config.log_level)
    return create_app(config, owns_process=True)


def check(config: ServeConfig) -> None:
    """Looks for what would fail later, in every process."""
    from mien.detectors import get_detector
    from mien.hub import ONNX, read_model_folder

    load_keys(config)
    try:
        for name, folder in config.models.items():
            flag = f"--model {name}"
            read_model_folder(folder).file(ONNX)
        for spec in config.detector:
            flag = f"--detector {spec}"
            get_detector(spec)
    except ModelError as error:
        raise ConfigError(f"{flag}: {error}") from error


def bind(config: ServeConfig) -> socket.socket:
    """Opens the listening socket."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}",
            hint="Choose another with --port (0: any free one) or --host, or stop what runs there.",
        ) from error
    listener.set_inheritable(True)
    return listener
