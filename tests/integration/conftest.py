"""Fixtures of the tests that train, serve and open pages."""

from __future__ import annotations

import pytest

from support.exporter import keep_table


@pytest.fixture(autouse=True)
def _export_table() -> None:
    """Lets exports after the first one of a process take half of the time."""
    keep_table()
