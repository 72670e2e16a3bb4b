"""What is documented is public, and what is public is written down."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from support import ROOT

PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
TAUGHT = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TAUGHT += sorted((ROOT / "examples").rglob("*.py")) + sorted((ROOT / "examples").rglob("*.ipynb"))
#: Module -> its public names: a change of the API is a change of this file.
WRITTEN = Path(__file__).with_name("public_names.txt")

_TARGET = re.compile(r"^::: (mien[\w.]*)$", re.MULTILINE)
_IMPORT = re.compile(r"from (mien[\w.]*) import ((?:\w+(?: as \w+)?(?:, )?)+)")


@cache
def _public(name: str) -> tuple[ModuleType, tuple[str, ...]]:
    module = importlib.import_module(name)
    assert hasattr(module, "__all__"), f"{name} is documented, but has no __all__"
    return module, tuple(module.__all__)


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def _documented() -> set[str]:
    """The modules of all targets of the API pages."""
    targets = {name for page in PAGES for name in _TARGET.findall(page.read_text("utf-8"))}
    return {name if _is_module(name) else name.rpartition(".")[0] for name in targets}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_target_of_an_api_page_is_public(page: Path) -> None:
    for target in _TARGET.findall(page.read_text(encoding="utf-8")):
        if _is_module(target):
            assert _public(target)[1], target
            continue
        module, _, name = target.rpartition(".")
        assert name in _public(module)[1], target


def test_public_names_exist_and_are_those_written_down() -> None:
    lines = []
    for name in sorted(_documented() | {"mien"}):
        module, names = _public(name)
        for each in names:
            assert hasattr(module, each), f"{name}.{each}"
        lines.append(f"{name}: {' '.join(sorted(names))}")
    assert WRITTEN.read_text(encoding="utf-8").splitlines() == lines


@pytest.mark.parametrize("page", TAUGHT, ids=lambda page: page.stem)
def test_pages_teach_public_names_only(page: Path) -> None:
    for module, names in _IMPORT.findall(page.read_text(encoding="utf-8")):
        for name in (part.split(" as ")[0].strip() for part in names.split(",")):
            if name:
                assert _is_module(f"{module}.{name}") or name in _public(module)[1], (
                    f"{page.name}: from {module} import {name}"
                )
