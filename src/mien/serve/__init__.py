"""The REST service: ``create_app`` makes a FastAPI application, ``mien serve`` runs it.

Needs the ``serve`` extra; importing this package does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.serve.app import create_app
    from mien.serve.config import ServeConfig

_HOMES = {
    "ServeConfig": "mien.serve.config",
    "create_app": "mien.serve.app",
}

__all__ = ["ServeConfig", "create_app"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien.serve' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
