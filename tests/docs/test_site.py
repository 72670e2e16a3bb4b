"""Links lead somewhere, every page is in the navigation, and the site builds without a warning."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + sorted(ROOT.glob("*.md"))


def _anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as Markdown's table of contents makes them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in heads]
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in plain}


def _links(text: str) -> list[str]:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_anchors_and_links_are_found() -> None:
    assert _anchors("# The `mien` *way*\n```\n# no\n```\n## A, B and C\n") == {
        "the-mien-way",
        "a-b-and-c",
    }
    assert _links("[a](b.md) `[c](d)` ![e](f.png)\n```\n[g](h)\n```") == ["b.md", "f.png"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for link in _links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"^ *- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(
        page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")
    )


def test_reference_names_what_exists() -> None:
    names = [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)
    ]
    assert len(names) >= 15
    for name in names:
        if _module_file(name) is None:
            home, _, last = name.rpartition(".")
            file = _module_file(home)
            assert file is not None, name
            defined = rf"^(?:class|def) {last}\b"
            text = file.read_text(encoding="utf-8")
            handed_on = file.name == "__init__.py" and hasattr(importlib.import_module(home), last)
            assert handed_on or re.search(defined, text, re.MULTILINE), name


def _module_file(name: str) -> Path | None:
    """Returns the file of a module by its name, without importing it."""
    path = ROOT / "src" / Path(*name.split("."))
    return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    for module in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(module, reason="needs the extra docs")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    page = (tmp_path / "api" / "recognizer" / "index.html").read_text(encoding="utf-8")
    assert "from_pretrained" in page
    for path in tmp_path.rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"', path.read_text()
        )
        assert fetched == [], path


def test_pages_fit_wide_and_narrow_windows(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(tmp_path)]
    command += ["--no-directory-urls"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (1280, 400):
            page = browser.new_page(viewport={"width": width, "height": 900})
            for name in ("quickstart", "responsible-use"):
                page.goto((tmp_path / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                shown = "Array.from(document.images, x => x.complete && x.naturalWidth > 0)"
                assert all(page.evaluate(shown)), name
                assert page.locator("h1").count() == 1
                if place := os.environ.get("MIEN_SHOTS"):
                    page.screenshot(path=f"{place}/{name}-{width}.png")
        browser.close()
