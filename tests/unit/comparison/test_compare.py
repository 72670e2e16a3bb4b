from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from mien.cli import main
from mien.comparison import compare, read_costs
from mien.data import read_manifest
from mien.errors import ConfigError
from mien.hub import ONNX, read_model_folder, write_config
from mien.reporting import write_report
from support.faces import write_folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The bundled model, the same with two answers swapped, and faces to score them on."""
    root = tmp_path_factory.mktemp("runs")
    good = Path(shutil.copytree(read_model_folder().path, root / "good"))
    bad = Path(shutil.copytree(good, root / "bad"))
    model = onnx.load(bad / ONNX)
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "inner"
    order = onnx.numpy_helper.from_array(np.array([1, 0, 2, 3, 4, 5, 6, 7]), "order")
    model.graph.initializer.append(order)
    model.graph.node.append(onnx.helper.make_node("Gather", ["inner", "order"], ["logits"], axis=1))
    onnx.save_model(model, bad / ONNX)
    config = read_model_folder(bad).config
    write_config(bad, dataclasses.replace(config, architecture="elsewhere"))
    (good / "metrics.csv").write_text("epoch,seconds\n1,30\n2,60\n")
    return good, bad, write_folder(root / "faces", 16)


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
    assert {line.count("|") for line in table} == {16}
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
