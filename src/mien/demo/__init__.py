"""The web page: photo, camera and clip in a browser, on one's own machine or as a Space (demo).

:func:`run_demo` serves the page until it is stopped; :func:`write_space` writes a folder that the
Hugging Face Hub runs as a Space. Gradio is imported only when the page is built.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.demo.config import DemoConfig
    from mien.demo.server import open_demo, run_demo
    from mien.demo.space import write_space

#: Public name -> the module that defines it.
_HOMES = {
    "DemoConfig": "config",
    "open_demo": "server",
    "run_demo": "server",
    "write_space": "space",
}

__all__ = ["DemoConfig", "open_demo", "run_demo", "write_space"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien.demo' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mien.demo.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
