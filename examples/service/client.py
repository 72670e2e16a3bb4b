"""The service from Python. Start it first: ``mien serve``.

Usage: ``python examples/service/client.py PHOTO [PHOTO...]``; MIEN_URL and MIEN_KEY say where and
with which key.
"""

from __future__ import annotations

import os
import sys

from mien import ErrorResult
from mien.client import Client


def main(photos: list[str]) -> None:
    url = os.environ.get("MIEN_URL", "http://127.0.0.1:8000")
    with Client(url, os.environ.get("MIEN_KEY")) as client:
        for result in client.predict(*photos):
            if isinstance(result, ErrorResult):
                print(result.source, "unreadable:", result.error)
                continue
            for face in result.faces:
                print(result.source, face.emotion, f"{face.confidence:.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])
