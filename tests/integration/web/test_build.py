"""``mien web``: one folder, whole or not at all."""

from __future__ import annotations

import hashlib
import json

from mien.hub import ASSETS, DEFAULT_MODEL
from mien.web import Page
from mien.web.build import SOURCES

BUNDLED = ASSETS / DEFAULT_MODEL


def test_page_holds_what_its_settings_name(built: Page) -> None:
    settings = json.loads((built.path / "mien.json").read_text(encoding="utf-8"))
    files = settings["files"]
    for name, folder in (("detector", ASSETS / "detector"), ("model", BUNDLED)):
        for path in (files[name]["config"], files[name]["network"]["path"]):
            copy = built.path / path
            assert copy.read_bytes() == (folder / copy.name).read_bytes()
    checked = [files["detector"]["network"], files["model"]["network"], *files["runtime"].values()]
    for part in checked:
        found = hashlib.sha256((built.path / part["path"]).read_bytes()).hexdigest()
        assert found == part["sha256"]
    sources = {path.relative_to(SOURCES) for path in SOURCES.rglob("*") if path.is_file()}
    assert all((built.path / name).is_file() for name in sources)
    assert built.files == len(sources) + 10
    assert built.size == sum(p.stat().st_size for p in built.path.rglob("*") if p.is_file())
