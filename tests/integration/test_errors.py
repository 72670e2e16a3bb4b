from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "broken"),
    [
        ("mien.serve.app", "mien.serve.engine"),
        ("mien.backends.torch", "mien.models"),
    ],
)
def test_broken_module_of_mien_is_no_missing_extra(module: str, broken: str) -> None:
    """A fault in mien itself must not read like advice to install something."""
    code = (
        "import importlib, sys\n"
        f"sys.modules[{broken!r}] = None\n"
        f"module = importlib.import_module({module!r})\n"
        "if hasattr(module, 'load_network'): module.load_network(None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MissingExtraError" not in done.stderr
    assert f"import of {broken}" in done.stderr
