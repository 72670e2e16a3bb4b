"""What the tests of routes share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from mien.serve import ServeConfig, create_app


def _client(**settings: Any) -> TestClient:
    values: dict[str, Any] = {"detector": ("haar", "none"), "max_images": 4, "max_body_mb": 4}
    return TestClient(create_app(ServeConfig(**values | settings)), raise_server_exceptions=False)


def wait(client: TestClient) -> TestClient:
    end = time.monotonic() + 20
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.01)
    return client


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with _client() as opened:
        yield wait(opened)
