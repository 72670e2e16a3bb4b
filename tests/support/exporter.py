"""PyTorch builds its table of ONNX functions anew for each export: tests build it once per process.

Imported by the server process of :mod:`support.processes`, so that what is forked from it has it.
"""

from __future__ import annotations

import functools
import sys

_REGISTRATION = "torch.onnx._internal.exporter._registration"


def keep_table() -> None:
    """Keeps the table of the next export for all that follow, once the exporter was imported."""
    registry = getattr(sys.modules.get(_REGISTRATION), "ONNXRegistry", None)
    if registry is not None and not hasattr(registry.from_torchlib, "cache_info"):
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))
