"""A real server with small limits, for the tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from support.serve_routes import client
from support.service import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server with small limits for the tests that do not stop it."""
    running = Server(
        "--detector", "none", "--detector", "haar", "--max-body-mb", "2", "--max-images", "4",
        "--header-timeout-s", "1", "--body-timeout-s", "1", "--queue-size", "64",
        "--max-idle", "40",
    )  # fmt: skip
    yield running
    assert running.stop() == 0


__all__ = ["client"]
