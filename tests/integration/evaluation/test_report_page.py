"""The report in a browser: no figure out of sight, no barrier."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.accessibility import out_of_sight, violations

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_figure_is_out_of_sight_at_any_width(report: Path, scheme: str) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for width in (390, 1280):
            tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            tab.goto(report.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert out_of_sight(tab) == []
            assert tab.locator("td:visible").count() > 20
            assert violations(tab) == []
        browser.close()
