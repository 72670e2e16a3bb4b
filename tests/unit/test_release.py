"""The habits of a release: one version, an orderly changelog, a valid citation, typed package."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata

import pytest

import mien
from support import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
VERSION = r"\d+\.\d+\.\d+"


def _troubles(text: str) -> list[str]:
    """Returns what is wrong with a changelog, by https://keepachangelog.com/en/1.1.0/."""
    found = [] if text.startswith("# Changelog\n") else ["does not start with # Changelog"]
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    heads = [part.splitlines()[0] for part in parts]
    if not heads or heads[0] != "[Unreleased]":
        found.append("the first section is not [Unreleased]")
    numbers, dates = [], []
    for head in heads[1:]:
        match = re.fullmatch(rf"\[({VERSION})\] - (\d{{4}}-\d\d-\d\d)( \[YANKED\])?", head)
        if match is None:
            found.append(f"{head!r} is not [X.Y.Z] - YYYY-MM-DD")
            continue
        numbers.append(tuple(map(int, match[1].split("."))))
        try:
            dates.append(dt.date.fromisoformat(match[2]))
        except ValueError:
            found.append(f"{match[2]} is no date")
    if numbers != sorted(set(numbers), reverse=True) or dates != sorted(dates, reverse=True):
        found.append("versions are not newest first, each once")
    for head, part in zip(heads, parts, strict=True):
        kinds = re.findall(r"^### (.*)$", part, re.MULTILINE)
        found += [f"{head}: {kind!r} is none of {KINDS}" for kind in kinds if kind not in KINDS]
        if len(kinds) != len(set(kinds)):
            found.append(f"{head}: a kind stands twice")
        for section in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
            kind, *body = section.splitlines()
            lines = [line for line in body if line.strip()]
            if not lines or not all(line.startswith(("- ", "  ", "[")) for line in lines):
                found.append(f"{head}, {kind}: not a list")
    return found


def test_changelog_is_in_order() -> None:
    assert _troubles(CHANGELOG) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# News\n\n## [Unreleased]\n", "start"),
        ("# Changelog\n\n## [1.0.0] - 2026-01-01\n", "Unreleased"),
        ("# Changelog\n\n## [Unreleased]\n\n## 1.0.0\n", "YYYY-MM-DD"),
        ("# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2026-13-01\n", "no date"),
        (
            "# Changelog\n## [Unreleased]\n\n## [1.0.0] - 2026-01-01\n\n## [1.1.0] - 2026-02-01\n",
            "newest first",
        ),
        ("# Changelog\n\n## [Unreleased]\n\n### News\n\n- a\n", "'News'"),
        ("# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a\n\n### Added\n\n- b\n", "twice"),
        ("# Changelog\n\n## [Unreleased]\n\n### Added\n\nmany things\n", "not a list"),
    ],
)
def test_disorder_is_noticed(text: str, words: str) -> None:
    assert any(words in trouble for trouble in _troubles(text))


def test_version_stands_in_one_place() -> None:
    assert re.fullmatch(VERSION, mien.__version__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/mien/__init__.py"
    assert metadata("mien")["Version"] == mien.__version__
    released = re.findall(rf"^## \[({VERSION})\]", CHANGELOG, re.MULTILINE)
    # Either the newest section, or a number that no section has yet.
    assert not released or mien.__version__ == released[0] or mien.__version__ not in released


def test_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "mien" / "py.typed").is_file()


def test_citation_is_valid_and_of_this_version() -> None:
    yaml = pytest.importorskip("yaml")
    value = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    # The keys that https://citation-file-format.github.io requires, and the types of ours.
    assert value["cff-version"] == "1.2.0"
    assert all(isinstance(value[key], str) for key in ("message", "title", "abstract", "license"))
    assert value["type"] == "software"
    assert value["version"] == mien.__version__
    people = {"family-names", "given-names", "name", "orcid", "affiliation", "email", "alias"}
    for entry in (value, *value["references"]):
        assert entry["title"]
        assert entry["authors"]
        assert all(author and set(author) <= people for author in entry["authors"])
    known = {
        "cff-version", "message", "type", "title", "abstract", "authors", "version", "license",
        "keywords", "references", "doi", "url", "repository-code", "date-released", "identifiers",
    }  # fmt: skip
    assert set(value) <= known
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert value["license"] == project["license"]


def test_workflows_and_templates_are_whole() -> None:
    yaml = pytest.importorskip("yaml")
    folder = ROOT / ".github"
    files = sorted(folder.rglob("*.yml"))
    assert len(files) >= 4
    for path in files:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert isinstance(value, dict), path
        if path.parent.name == "workflows":
            # YAML 1.1 reads the key `on` as true.
            assert {"name", True, "permissions", "jobs"} <= set(value), path
            assert all("timeout-minutes" in job for job in value["jobs"].values()), path
        elif path.name not in {"config.yml", "dependabot.yml"}:
            ids = [part.get("id") for part in value["body"]]
            assert len(ids) == len(set(ids)), path
    nightly = yaml.safe_load((folder / "workflows" / "nightly.yml").read_text())
    steps = nightly["jobs"]["gate"]["steps"]
    command = next(step["run"] for step in steps if step.get("run", "").startswith(".ci/run"))
    assert (ROOT / command.split()[0]).is_file()
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(flag in gate for flag in command.split()[1:])


def test_source_archive_lists_what_a_release_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (ROOT / name.lstrip("/")).exists(), name


def test_version_is_printed_by_the_command() -> None:
    command = [sys.executable, "-m", "mien", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == mien.__version__
