"""``python -m mien.serve.health``: ends with 0 if the service is ready; containers ask it.

It finds host and port as the service does, in the ``MIEN_`` variables.
"""

from __future__ import annotations

import os
import sys
from urllib.request import urlopen

from mien.serve.config import ServeConfig

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to ask, not where to listen


def main() -> str | None:
    """Asks ``/readyz``; returns what is wrong, or None."""
    config = ServeConfig.load(None, os.environ)
    host = _ANY.get(config.host, config.host)
    address = f"[{host}]" if ":" in host else host
    try:
        with urlopen(f"http://{address}:{config.port}/readyz", timeout=2):
            return None
    except OSError as error:
        return f"not ready: {error}"


if __name__ == "__main__":
    sys.exit(main())
