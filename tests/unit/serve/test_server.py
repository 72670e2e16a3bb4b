from __future__ import annotations

import logging
import signal
from typing import Any

import pytest

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

from mien.serve import ServeConfig
from mien.serve.server import serve


def _state() -> list[Any]:
    loggers = [logging.getLogger(n) for n in ("mien.serve", "uvicorn", "uvicorn.error")]
    numbers = (signal.SIGTERM, signal.SIGINT)
    return [
        *((logger.handlers, logger.level, logger.propagate) for logger in loggers),
        *map(signal.getsignal, numbers),
    ]


def test_the_process_of_a_service_is_as_before_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, seen = _state(), []
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: seen.append(_state()))
    serve(ServeConfig(port=0))
    assert seen[0] != before
    assert _state() == before
