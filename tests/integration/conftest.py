"""What holds for the tests that train, serve and open pages."""

from __future__ import annotations

import pytest

from support.exporter import keep_table, trace_once


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Spares trainings most of their export, but not the tests of exporting."""
    keep_table()
    trace_once(once="exporting" not in item.path.parts)
