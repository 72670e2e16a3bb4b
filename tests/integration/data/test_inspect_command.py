"""``mien data inspect`` from the outside, and its report in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from mien.cli.data import app
from mien.errors import ConfigError, DataError
from support.accessibility import out_of_sight
from support.data_inspect_command import run

CHROMIUM = Path("/usr/bin/chromium")


def test_report_and_json_are_written_and_not_overwritten(
    leaking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert run("-d", f"folder:{leaking}", "-o", page) == 1
    text = page.read_text("utf-8")
    assert json.loads(page.with_suffix(".json").read_text("utf-8"))["leakage"] is True
    with pytest.raises(ConfigError, match="--overwrite"):
        app(["inspect", "-d", f"folder:{leaking}", "-o", str(page)])
    assert page.read_text("utf-8") == text
    assert run("-d", f"folder:{leaking}", "-o", page, "--overwrite") == 1
    with pytest.raises(ConfigError, match=r"must end in \.html"):
        app(["inspect", "-d", f"folder:{leaking}", "-o", str(tmp_path / "report.pdf")])
    with pytest.raises(DataError, match="there is no"):
        app(["inspect", "-d", "folder:nowhere"])


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_the_report_opens_offline_in_a_browser(
    leaking: Path, tmp_path: Path, scheme: str, width: int
) -> None:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("needs chromium")
    page_file = tmp_path / "report.html"
    assert run("-d", f"folder:{leaking}", "-o", page_file) == 1
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        page = context.new_page()
        trouble: list[str] = []
        requested: list[str] = []
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(page_file.as_uri())
        assert "Leakage" in page.locator(".verdict").inner_text()
        assert "leak" in page.locator("section.finding").first.get_attribute("class")
        sizes = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
        assert len(sizes) == 10  # two copies, two mean faces, two sheets, four histograms
        assert min(sizes) > 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert out_of_sight(page) == []
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.screenshot(path=tmp_path / "report.png", full_page=True)
        browser.close()
    assert trouble == []
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    levels = [int(value) for value in back.removeprefix("rgb(").rstrip(")").split(",")]
    assert (min(levels) > 200) if scheme == "light" else (max(levels) < 60)
    with Image.open(tmp_path / "report.png") as shot:
        assert shot.height > 1000
