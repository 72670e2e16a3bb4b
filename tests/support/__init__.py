"""What tests share: drawn faces, small networks, clips, servers, and where the repository is."""

from importlib.util import find_spec
from pathlib import Path

import pytest

#: The repository.
ROOT = Path(__file__).resolve().parents[2]


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips tests where a module is missing, without importing it while tests are collected."""
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")
