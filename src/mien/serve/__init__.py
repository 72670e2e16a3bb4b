"""The REST service: ``create_app`` makes a FastAPI application, ``mien serve`` runs it.

Needs the ``serve`` extra; importing this package does not.
"""

from typing import TYPE_CHECKING

from mien import lazy_names

if TYPE_CHECKING:
    from mien.serve.app import create_app
    from mien.serve.config import ServeConfig

__getattr__ = lazy_names(
    __name__, {"mien.serve.config": ["ServeConfig"], "mien.serve.app": ["create_app"]}
)

__all__ = ["ServeConfig", "create_app"]
