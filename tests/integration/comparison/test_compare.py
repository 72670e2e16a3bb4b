from __future__ import annotations

import shutil
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from mien.comparison import compare
from mien.data import read_manifest
from mien.reporting.pages import write_report
from support.accessibility import out_of_sight, violations


def test_runs_are_ranked_and_tested_against_each_other(runs: tuple[Path, Path, Path]) -> None:
    good, bad, data = runs
    manifest = read_manifest(f"folder:{data}")
    found = compare([bad, good], manifest, threads=1)
    first, second = found.rows
    assert first.scores["accuracy"] >= second.scores["accuracy"]
    assert second.against_next is None
    test = first.against_next
    assert test is not None
    assert test.n == first.scores["n"] == 12
    difference = second.scores["accuracy"] - first.scores["accuracy"]
    assert test.difference == pytest.approx(difference)
    stats = pytest.importorskip("scipy.stats")
    changed = test.first_only + test.second_only
    exact = stats.binomtest(test.first_only, changed).pvalue if changed else 1.0
    assert test.p_value == pytest.approx(exact)
    assert first.latency_ms is not None
    assert min(first.latency_ms) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_every_figure_in_sight(
    runs: tuple[Path, Path, Path], tmp_path: Path, scheme: str
) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium")
    good, bad, data = runs
    found = compare([good, bad], read_manifest(f"folder:{data}"), threads=1)
    write_report(found, tmp_path / "page.html")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (390, 1280):
            tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
            tab.goto((tmp_path / "page.html").as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert out_of_sight(tab) == []
            assert tab.locator("td:visible").count() > 20
            assert violations(tab) == []
        browser.close()


def test_runs_whose_folders_have_one_name_are_told_apart(
    runs: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    good, bad, data = runs
    for place, run in (("first", good), ("second", bad)):
        copied = shutil.copytree(run, tmp_path / place / "train")
        (copied / "metrics.csv").write_text("epoch,seconds,valid_loss\n1,30,0.5\n")
    models = [tmp_path / place / "train" for place in ("first", "second")]
    found = compare(models, read_manifest(f"folder:{data}"), timing=False)
    names = {path.as_posix() for path in models}
    assert {row.run for row in found.rows} == set(found.histories) == names
