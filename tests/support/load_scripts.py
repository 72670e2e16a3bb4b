"""The scripts of benchmarks/load/, which are no package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from support import ROOT


def load_script(name: str) -> ModuleType:
    """imports one, with those of its folder that it needs."""
    folder = str(ROOT / "benchmarks" / "load")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
