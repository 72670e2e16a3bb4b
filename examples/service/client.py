"""The service from Python. Start it first: ``mien serve``.

Usage: ``python examples/service/client.py PHOTO [PHOTO...]``
"""

from __future__ import annotations

import sys

from mien import ErrorResult
from mien.client import Client


def main(url: str, photos: list[str]) -> None:
    with Client(url) as client:
        for result in client.predict(*photos):
            if isinstance(result, ErrorResult):
                print(result.source, "unreadable:", result.error)
                continue
            for face in result.faces:
                print(result.source, face.emotion, f"{face.confidence:.0%}")


if __name__ == "__main__":
    main("http://127.0.0.1:8000", sys.argv[1:])
