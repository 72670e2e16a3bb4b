"""The extra ``test`` has what the quick suite looks for, so that no test of it is skipped."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support import ROOT

#: In the standard library, though not on every system.
_OF_PYTHON = {"fcntl", "resource"}


def _brought(extra: str) -> set[str]:
    """Returns the names of all packages that an extra of this tree installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = project["optional-dependencies"]
    found: set[tuple[str, str]] = set()
    open_ends = [Requirement(each) for each in [f"mien[{extra}]", *project["dependencies"]]]
    while open_ends:
        need = open_ends.pop()
        name = canonicalize_name(need.name)
        for part in {"", *need.extras} - {part for known, part in found if known == name}:
            found.add((name, part))
            if name == "mien":
                open_ends += [Requirement(each) for each in ours.get(part, [])]
                continue
            for each in map(Requirement, requires(name) or []):
                if each.marker is None or each.marker.evaluate({"extra": part}):
                    open_ends.append(each)
    return {name for name, _ in found}


def test_extra_test_has_what_quick_tests_skip_without() -> None:
    pytest.importorskip("ray", reason="needs the extra dev")
    wanted = {
        name
        for path in (ROOT / "tests/unit").rglob("*.py")
        for name in re.findall(r'(?:importorskip|find_spec)\("(\w+)', path.read_text("utf-8"))
    } - _OF_PYTHON
    assert {"torch", "fastapi", "av"} <= wanted
    brought = _brought("test")
    assert "ray" not in brought
    sources = packages_distributions()
    missing = {
        name
        for name in wanted
        if not {canonicalize_name(d) for d in sources.get(name, ())} & brought
    }
    assert not missing, f"skipped where only '.[test]' is installed: {sorted(missing)}"
