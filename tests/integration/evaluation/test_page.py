from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from mien import ConfigError, EmotionRecognizer
from mien.cli import main
from mien.data import Manifest
from mien.evaluation import Evaluation, evaluate
from mien.evaluation import plots as p
from mien.evaluation.page import write_report
from mien.images import decode
from mien.reporting.theme import LIGHT, to_png
from support.evaluation_page import small

DIAGRAMS = {
    "confusion", "confusion-counts", "classes", "roc", "precision-recall", "reliability",
    "confidence", "corruptions",
}  # fmt: skip


def test_page_is_whole_and_fetches_nothing(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    links = re.findall(r'(?:src|srcset|href)="([^"]{0,12})', text)
    assert len(links) > 20
    assert all(link.startswith("data:image/") for link in links)
    assert "<script" not in text
    assert "url(" not in text
    assert "McNemar" in text


def test_folder_holds_every_diagram_and_the_numbers(
    report: Path, parts: tuple[EmotionRecognizer, Manifest, Evaluation]
) -> None:
    pictures = {path.stem for path in report.parent.glob("*.png")}
    assert pictures == DIAGRAMS
    for path in report.parent.glob("*.png"):
        assert decode(path).std() > 5
    numbers = json.loads((report.parent / "report.json").read_text())
    assert numbers["accuracy"] == parts[2].to_dict()["accuracy"]
    assert len(numbers["robustness"]) == 39
    assert numbers["comparison"]["both"] + numbers["comparison"]["first_only"] == sum(
        parts[2].predicted == parts[2].class_ids
    )
    assert not [path for path in report.parent.iterdir() if path.name.startswith(".")]


def test_report_never_replaces_unasked(
    report: Path, parts: tuple[EmotionRecognizer, Manifest, Evaluation], tmp_path: Path
) -> None:
    recognizer, manifest, evaluation = parts
    with pytest.raises(ConfigError, match="--overwrite"):
        write_report(report.parent, evaluation, recognizer, manifest)
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"a\.txt"):
        write_report(tmp_path / "a.txt", evaluation, recognizer, manifest)
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_one_class_and_perfect_models_are_drawn() -> None:
    for evaluation in (
        small([[1.0, 0.0], [1.0, 0.0]], [0, 0]),
        small([[1.0, 0.0], [0.0, 1.0]], [0, 1]),
    ):
        for plot in (
            p.plot_roc, p.plot_precision_recall, p.plot_classes, p.plot_reliability,
            p.plot_confidence,
        ):  # fmt: skip
            assert to_png(plot(evaluation, LIGHT)).startswith(b"\x89PNG")


def test_command_writes_report_compares_and_prints(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"folder:{trained.parent / 'faces'}"
    target = tmp_path / "page.html"

    def run(*more: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(("evaluate", "-m", str(trained), "-d", data, *more))
        return int(stop.value.code or 0)

    arguments = ("--report", str(target), "--compare", str(trained), "--format", "json")
    assert run(*arguments) == 0
    out, err = capsys.readouterr()
    numbers = json.loads(out)
    assert "page.html" in err
    assert numbers["comparison"]["mcnemar_p"] == 1.0
    assert len(numbers["robustness"]) == 39
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert run(*arguments) == 2
    assert run("--robustness") == 0
    assert "zoomed in 1.4 times" in capsys.readouterr().out


def test_report_opens_in_a_browser(report: Path, tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium")
    arguments = ["--no-sandbox", "--disable-gpu"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        shots = {}
        for scheme, width in (("light", 1200), ("dark", 1200), ("light", 420)):
            context = browser.new_context(
                color_scheme=scheme, offline=True, viewport={"width": width, "height": 900}
            )
            opened = context.new_page()
            troubles: list[str] = []
            opened.on("console", lambda message, found=troubles: found.append(message.text))
            opened.on("pageerror", lambda error, found=troubles: found.append(str(error)))
            opened.goto(report.as_uri())
            assert troubles == []
            images = "Array.from(document.images, x => x.complete && x.naturalWidth > 0)"
            shown = opened.evaluate(images)
            assert len(shown) > 20
            assert all(shown)
            assert opened.evaluate("document.documentElement.scrollWidth") <= width
            file = tmp_path / f"{scheme}-{width}.png"
            opened.screenshot(path=str(file))
            shots[scheme, width] = decode(file).mean()
            context.close()
        browser.close()
    assert shots["light", 1200] > 180 > 90 > shots["dark", 1200]


def test_an_evaluation_prints_tabulates_and_plots_itself(
    parts: tuple[EmotionRecognizer, Manifest, Evaluation],
) -> None:
    evaluation = parts[2]
    scores = evaluation.scores()
    assert f"{scores['accuracy'] * 100:.1f} %" in repr(evaluation)
    header, rows = evaluation.table()
    assert header[0] == "class"
    assert [row[0] for row in rows] == list(evaluation.labels)
    assert sum(int(row[1]) for row in rows) == scores["n"]
    for kind in p.PLOTS:
        assert to_png(evaluation.plot(kind)).startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="Did you mean 'reliability'"):
        evaluation.plot("reliabilty")


def test_evaluate_takes_a_model_and_a_dataset_by_name(
    trained: Path, parts: tuple[EmotionRecognizer, Manifest, Evaluation]
) -> None:
    found = evaluate(trained, f"folder:{trained.parent / 'faces'}")
    assert found.keys == parts[2].keys
    np.testing.assert_allclose(found.probs, parts[2].probs)
