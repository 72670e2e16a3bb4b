"""``python -m mien.serve.health``: ends with 0 if the service is ready; containers ask it.

It finds host and port as the service does, in the ``MIEN_`` variables.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection

from mien.serve.config import ServeConfig

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to ask, not where to listen


def main() -> str | None:
    """Asks ``/readyz``; returns what is wrong, or None."""
    config = ServeConfig.load(None, os.environ)
    # Not urllib: it would ask the proxy that the environment names.
    connection = HTTPConnection(_ANY.get(config.host, config.host), config.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except OSError as error:
        return f"not ready: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"not ready: HTTP {status}"


if __name__ == "__main__":
    sys.exit(main())
