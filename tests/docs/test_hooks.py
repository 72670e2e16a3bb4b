"""The site's changelog is the repository's, put in when the site is built."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from support import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_changelog_is_put_into_its_page(hooks: ModuleType) -> None:
    page = hooks.on_page_markdown((DOCS / "changelog.md").read_text(encoding="utf-8"), page=None)
    lines = hooks.CHANGELOG.read_text(encoding="utf-8").splitlines()
    shown = page.splitlines()
    assert shown[0] == "# Changelog"
    assert shown.count("# Changelog") == 1
    assert "## Unreleased" in shown
    assert [line for line in lines if line.startswith("- ")] == [
        line for line in shown if line.startswith("- ")
    ]
    assert "<!-- changelog" not in page


def test_other_pages_stay_as_they_are(hooks: ModuleType) -> None:
    text = "# Data\n\n## [x]\n"
    assert hooks.on_page_markdown(text, page=None) is text
