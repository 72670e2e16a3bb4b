"""The quick suite: offline, and it leaves nothing behind in the repository."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from support import ROOT

_LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0"}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that opens a connection to another machine."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in _LOCAL:
            raise AssertionError(f"the quick suite is offline, but a test connects to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture(autouse=True, scope="session")
def _no_leftovers() -> Iterator[None]:
    """Fails where the suite leaves a file at the top of the repository."""
    before = {path.name for path in ROOT.iterdir()}
    yield
    left = {path.name for path in ROOT.iterdir()} - before
    left = {name for name in left if not name.startswith(".coverage")}
    left -= {".pytest_cache", ".hypothesis", "__pycache__"}
    assert not left, f"the tests left behind: {sorted(left)}"
