"""Draws the pictures of the pages in the documents from the running pages.

Usage: ``python scripts/screenshots.py [RUNTIME]``, with the demo extra, Playwright and Chromium.
The argument is what ``mien web --runtime`` takes, and is needed where npm cannot fetch it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from mien.demo import DemoConfig, open_demo
from mien.web import build_page

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SAMPLE = Path(__file__).resolve().parents[1] / "src/mien/assets/sample/astronaut.jpg"
PATIENCE_MS = 180_000


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder on this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def open_tab(browser: Any, address: str, width: int, height: int, scheme: str) -> Any:
    """Opens a page in a window of its own."""
    tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(address)
    return tab


def draw_demo(browser: Any, address: str) -> None:
    """Draws the photo tab: wide and light with a map, narrow and dark."""
    windows = (("demo_photo", 1280, 1000, "light"), ("demo_phone", 390, 844, "dark"))
    for name, width, height, scheme in windows:
        tab = open_tab(browser, address, width, height, scheme)
        tab.get_by_role("button", name="Try the example photo").click()
        tab.locator("#mien-photo-cards section").wait_for()
        if name == "demo_photo":
            tab.get_by_label("Show what the model looked at").check()
            tab.wait_for_selector("img.mien-map")
        tab.mouse.move(0, 0)
        tab.wait_for_timeout(1000)
        tab.screenshot(path=str(IMAGES / f"{name}.png"))


def draw_browser_page(browser: Any, address: str) -> None:
    """Draws the page of ``mien web``."""
    tab = open_tab(browser, address, 1280, 900, "light")
    tab.wait_for_selector("html[data-state=ready]")
    tab.set_input_files("#file", SAMPLE)
    tab.wait_for_selector(".face")
    tab.evaluate("document.activeElement.blur()")
    tab.evaluate("scrollTo(0, 0)")
    tab.screenshot(path=str(IMAGES / "browser_page.png"))


def main() -> None:
    """Draws all."""
    runtime = sys.argv[1] if len(sys.argv) > 1 else None
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with open_demo(DemoConfig(port=0)) as address:
            draw_demo(browser, address)
        page = build_page(Path(folder) / "page", runtime=runtime)
        with served(page.path) as address:
            draw_browser_page(browser, address)


if __name__ == "__main__":
    main()
