"""Serving the page until it is stopped."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mien.atomic import environment, handled
from mien.demo.config import DemoConfig
from mien.errors import ConfigError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What Gradio and the Hub's client read when they are imported: nothing goes to anybody.
_QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def run_demo(config: DemoConfig | None = None) -> None:
    """Serves the page until SIGINT or SIGTERM; what visitors sent is deleted at the end.

    Argument and errors are those of :func:`open_demo`.
    """
    stop = threading.Event()
    ends = handled(lambda *_: stop.set(), signal.SIGINT, signal.SIGTERM)
    with ends, open_demo(config) as address:
        print(f"mien: the page is at {address} (Ctrl-C ends it)", file=sys.stderr, flush=True)  # noqa: T201
        stop.wait()


@contextmanager
def open_demo(config: DemoConfig | None = None) -> Iterator[str]:
    """Serves the page in threads of this process, for as long as the context lasts.

    Args:
        config: The settings; None: the defaults.

    Yields:
        The page's address; with ``share``, its public one.

    Raises:
        ConfigError: If a model is unknown or the address is taken.
        ModelError: If a model cannot be loaded.
        MissingExtraError: If the ``demo`` extra is not installed.
    """
    config = config or DemoConfig()
    with environment(_QUIET):
        with needs_extra("mien demo", "demo"):
            import gradio  # noqa: F401
        from mien.demo.page import launch_options, make_page
        from mien.demo.photo import open_models
        from mien.demo.uploads import UploadStore

        config = replace(config, port=_free_port(config))
        models = open_models(config)
        with UploadStore() as uploads, environment({"GRADIO_TEMP_DIR": str(uploads.folder)}):
            page = make_page(config, models, uploads)
            try:
                _, local, public = page.launch(prevent_thread_lock=True, **launch_options(config))
                yield public or local
            finally:
                page.close(verbose=False)


def _free_port(config: DemoConfig) -> int:
    """Returns the port to listen on, tried out beforehand."""
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((config.host, config.port))
            return int(trial.getsockname()[1])
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port} ({error.strerror or error}): type "
            "--port 0 for any free port, or another --host."
        ) from error
