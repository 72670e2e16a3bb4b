"""Export: from a trained network to files that run without torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.exporting.config import FORMATS, ExportConfig
    from mien.exporting.formats import export_formats
    from mien.exporting.onnx import export_onnx, export_run
    from mien.exporting.result import ExportResult, export

__all__ = [
    "FORMATS",
    "ExportConfig",
    "ExportResult",
    "export",
    "export_formats",
    "export_onnx",
    "export_run",
]

_HOME = {
    "FORMATS": "config",
    "ExportConfig": "config",
    "ExportResult": "result",
    "export": "result",
    "export_formats": "formats",
    "export_onnx": "onnx",
    "export_run": "onnx",
}


def __getattr__(name: str) -> Any:
    """Loads a public name; only ``export_onnx`` and ``export_run`` need torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'mien.exporting' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mien.exporting.{_HOME[name]}"), name)
