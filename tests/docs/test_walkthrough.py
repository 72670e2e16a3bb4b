"""The script behind the walk-through runs what a page says, and writes down what was printed."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from support import ROOT

PAGES = [ROOT / "docs" / "walkthrough.md", ROOT / "docs" / "kaggle-to-space.md"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("walkthrough", ROOT / "benchmarks/walkthrough.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timeless(page: Path) -> str:
    """Returns a page without its durations."""
    return re.sub(r"\*[\d.]+ s\*", "*TIME*", page.read_text(encoding="utf-8"))


def test_blocks_are_run_in_order_and_what_they_print_is_replaced(
    script: ModuleType, tmp_path: Path
) -> None:
    page = (
        "# Walk\n\n<!-- block: needs the walk -->\n```console\necho one > a.txt\n```\n\n"
        "```text\nold\n```\n\n*9 s*\n\nWords.\n\n"
        "<!-- block: needs the walk, exit code 3 -->\n```console\ncat a.txt; pwd\nexit 3\n```\n\n"
        "```console\nnever run\n```\n"
    )
    target = tmp_path / "page.md"
    target.write_text(page, encoding="utf-8")
    script.walk(target, tmp_path, dict(os.environ))
    assert timeless(target) == (
        "# Walk\n\n<!-- block: needs the walk -->\n```console\necho one > a.txt\n```\n\n"
        "*TIME*\n\nWords.\n\n"
        "<!-- block: needs the walk, exit code 3 -->\n```console\ncat a.txt; pwd\nexit 3\n```\n\n"
        "```text\none\n.\n```\n\n*TIME*\n\n```console\nnever run\n```\n"
    )
    shown = timeless(target)
    (tmp_path / "a.txt").unlink()
    script.walk(target, tmp_path, dict(os.environ), resume=True)  # nothing is left to run
    assert not (tmp_path / "a.txt").exists()
    script.walk(target, tmp_path, dict(os.environ))
    assert timeless(target) == shown


def test_another_exit_code_than_the_mark_says_ends_the_walk(
    script: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- block: needs the walk -->\n```console\nfalse\n```\n")
    with pytest.raises(SystemExit, match="exit code 1, but the mark says 0"):
        script.walk(page, tmp_path, dict(os.environ))


def test_paths_and_overwritten_lines_go_and_long_output_is_cut(
    script: ModuleType, tmp_path: Path
) -> None:
    bar = f"reading 1\rreading 2\nfound {tmp_path}/runs/a  \n\n\n{tmp_path}\n"
    assert script.tidy(bar, tmp_path) == "reading 2\nfound runs/a\n\n."
    long = script.tidy("\n".join(map(str, range(100))), tmp_path).splitlines()
    assert len(long) == script.MAX_LINES + 1
    assert long[0] == "0"
    assert long[-1] == "99"
    assert f"… {100 - script.MAX_LINES} lines …" in long


def test_archive_has_kaggles_layout_and_its_fault(
    script: ModuleType, shared: Path, tmp_path: Path
) -> None:
    from mien.data import read_manifest

    script.write_archive(tmp_path / "archive", shared)
    manifest = read_manifest(f"hes:{tmp_path / 'archive'}")
    total = sum(sum(counts.values()) for counts in manifest.counts().values())
    faces = sum(count for _, count in script.CLASSES.values())
    copies = sum(2 * (count // 9) + min(count % 9, 2) for _, count in script.CLASSES.values())
    assert total == faces + copies
    assert any("share a subject or source picture" in said for said in manifest.warnings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_hold_what_was_printed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- block: needs the walk", text)
    times = re.findall(r"^\*\d[^*]* (?:s|min \d+ s)\*$", text, re.MULTILINE)
    assert len(blocks) == len(times) >= 1
    places = [f"/{name}/" for name in ("tmp", "home", "root", "work")]
    for word in (*places, "http://pypi", "Traceback"):
        assert word not in text
