"""``mien serve``: every field of the settings is a flag."""

from __future__ import annotations

from mien.cli.flags import with_flags
from mien.serve.config import ServeConfig


@with_flags
def command(settings: ServeConfig) -> None:
    """Answer over HTTP: REST, a WebSocket for frames, metrics, documents at /docs.

    Every flag is also a key of the config file and, with MIEN_ before it and in capitals, an
    environment variable (MIEN_PORT=8080). Ctrl-C or SIGTERM ends it when all is answered.
    """
    from mien.serve.server import serve

    serve(settings)
