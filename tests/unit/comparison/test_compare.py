from __future__ import annotations

import json
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from mien.cli import main
from mien.comparison import compare, read_costs
from mien.data import read_manifest
from mien.errors import ConfigError
from mien.hub import ONNX, read_model_folder
from mien.reporting.pages import write_report


def test_costs_are_read_and_blank_where_unknown(runs: tuple[Path, Path, Path]) -> None:
    pytest.importorskip("torch")
    good, bad, _ = runs
    costs = read_costs(read_model_folder(good))
    assert (costs.epochs, costs.minutes) == (2, 1.5)
    assert costs.bytes == (good / ONNX).stat().st_size
    from mien.models import create_model
    from mien.models.registry import count_parameters

    assert costs.parameters == count_parameters(create_model("mienet_s", num_classes=8))
    assert costs.macs
    unknown = read_costs(read_model_folder(bad))
    assert (unknown.parameters, unknown.macs) == (None, None)


def test_every_form_is_written_whole(runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    good, bad, data = runs
    found = compare([good, bad], read_manifest(f"folder:{data}"), timing=False)
    for ending in ("html", "json", "md"):
        write_report(found, tmp_path / f"r.{ending}")
    assert "data:image/png;base64," in (tmp_path / "r.html").read_text()
    value = json.loads((tmp_path / "r.json").read_text())
    assert [row["run"] for row in value["runs"]] == [row.run for row in found.rows]
    table = (tmp_path / "r.md").read_text().splitlines()[:4]
    assert {line.count("|") for line in table} == {14}  # none for the two times not taken
    assert "ms" not in found.note
    labels = found.plot().axes[0].get_legend_handles_labels()[1]
    assert labels == [row.run for row in found.rows]


def test_command_refuses_before_it_computes(
    runs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, data = runs
    (tmp_path / "r.md").write_text("mine")
    for target, words in (("r.md", "--overwrite"), ("r.pdf", ".html")):
        with pytest.raises(SystemExit) as stopped:
            main(["compare", str(good), str(bad), "-d", f"folder:{data}", "-o",
                  str(tmp_path / target)])  # fmt: skip
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err
    assert (tmp_path / "r.md").read_text() == "mine"
    with pytest.raises(ConfigError, match="two runs"):
        compare([good], read_manifest(f"folder:{data}"))
