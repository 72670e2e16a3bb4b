from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("matplotlib")

from mien.comparison import compare
from mien.data import read_manifest
from mien.hub import ONNX, read_model_folder, write_config
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
