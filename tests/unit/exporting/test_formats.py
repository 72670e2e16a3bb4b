from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from mien.errors import ConfigError
from mien.exporting import ExportConfig
from mien.exporting.conversions import embed_preprocessing
from mien.exporting.graph import free_names, opset
from mien.hub import ModelConfig
from mien.labels import HES3
from mien.metrics import softmax
from mien.preprocess import Preprocessing, normalize
from mien.priors import ClassPrior


@pytest.mark.parametrize("own", [None, (0.1, 0.2, 0.7)])
@pytest.mark.parametrize("version", [13, 20])
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(size=8, color="gray", epsilon=7.0),
        Preprocessing(size=8, color="rgb", epsilon=3.0),
        Preprocessing(
            size=8, color="rgb", normalization="fixed", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
        ),
    ],
)
def test_embedded_graph_computes_what_the_library_does(
    preprocessing: Preprocessing, version: int, own: tuple[float, ...] | None
) -> None:
    C, rng = preprocessing.channels, np.random.default_rng(0)
    weight = rng.normal(size=(C * 64, 3)).astype(np.float32) / 8
    helper = onnx.helper
    graph = helper.make_graph(
        # Named as the embedded graph names its own ends, which must not clash.
        [helper.make_node("Flatten", ["faces"], ["probs"]),
         helper.make_node("MatMul", ["probs", "w"], ["logits"])],
        "linear",
        [helper.make_tensor_value_info("faces", 1, ["N", C, 8, 8])],
        [helper.make_tensor_value_info("logits", 1, ["N", 3])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    prior = ClassPrior((0.5, 0.3, 0.2), 0.8, own)
    config = ModelConfig("linear", "x", HES3, preprocessing, temperature=1.7, prior=prior)
    whole = embed_preprocessing(model, config)
    assert opset(whole) == version
    import onnxruntime

    session = onnxruntime.InferenceSession(whole.SerializeToString())
    faces = rng.integers(0, 256, (5, 8, 8, C), np.uint8)
    faces[4] = 77
    logits = normalize(faces, preprocessing).reshape(5, -1) @ weight
    found = session.run(["probs"], {"faces": faces})[0]
    assert found == pytest.approx(config.calibrated(logits), abs=1e-5)
    assert (found == pytest.approx(softmax(logits, temperature=1.7), abs=1e-3)) == (own is None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"formats": ("int8-statc",)}, "int8-static"),
        ({"calibration": "minmx"}, "minmax"),
        ({"calibration_faces": 0}, "calibration_faces must be at least 1"),
        ({"max_drop": -1.0}, "max_drop must be at least 0"),
        ({"max_drop": float("nan")}, "max_drop must be a number"),
        ({"weights": "float16"}, "--format onnx"),
    ],
)
def test_impossible_options_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(ExportConfig(("int8-static",)), **changes)


def test_names_are_freed_inside_subgraphs_too() -> None:
    helper = onnx.helper
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "inner", [], [])
    node = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([node], "outer", [helper.make_tensor_value_info("x", 1, [1])], [])
    assert free_names(graph, ["x", "w"]) == {"x": "x.inner"}
    assert graph.input[0].name == "x.inner"
    assert [a.g.node[0].input[0] for a in graph.node[0].attribute] == ["x.inner"] * 2
