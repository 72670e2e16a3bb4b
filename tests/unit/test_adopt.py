from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper

from mien import EmotionRecognizer
from mien.adoption import AdoptConfig, adopt
from mien.adoption.config import read_labels, schema_of
from mien.cli import main
from mien.data import read_manifest
from mien.errors import ConfigError, ModelError
from mien.hub import read_model_folder
from mien.metrics import softmax
from support.faces import draw_face, write_folder

S = 12
NAMES = ("neutral", "happy", "sad")
SHAPES: dict[str, list[Any]] = {
    "nchw": ["N", 3, S, S], "nhwc": ["N", S, S, 3], "flat": ["N", S * S * 3], "gray": ["N", S, S],
}  # fmt: skip


def _weights(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.2, (S * S * channels, 3)).astype(np.float32)


def _faces(count: int = 4, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, S, S, channels), np.uint8)


def _linear(
    path: Path,
    shape: list[Any],
    *,
    end: str = "",
    kind: int = TensorProto.FLOAT,
    names: tuple[str, str] = ("input", "logits"),
) -> Path:
    """Writes a linear classifier of pixels; its tensors have the names that mien uses itself."""
    values = int(np.prod(shape[1:]))
    nodes = [
        helper.make_node("Cast", [names[0]], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], [names[1] if not end else "logits"]),
    ]
    if end:
        nodes.append(helper.make_node(end, ["logits"], [names[1] if names[1] != "logits" else "p"]))
    output = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes, "linear",
        [helper.make_tensor_value_info(names[0], kind, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(_weights(values // S // S), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, path)
    return path


@pytest.mark.parametrize("end", ["", "Softmax", "LogSoftmax"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "flat"])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_every_layout_gives_what_the_graph_gave(
    tmp_path: Path, layout: str, color: str, end: str
) -> None:
    path = _linear(tmp_path / "net.onnx", SHAPES[layout], end=end)
    said = "nhwc" if layout == "flat" else "auto"
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    settings = AdoptConfig(NAMES, color=color, mean=mean, std=std, layout=said)
    adoption = adopt(path, tmp_path / "out", settings)
    assert adoption.probabilities == (end == "Softmax")
    faces = _faces()
    x = faces[..., ::-1] if color == "bgr" else faces
    x = (x / 255 - mean) / std
    expected = x.transpose(0, 3, 1, 2) if layout == "nchw" else x
    logits = expected.reshape(len(x), -1) @ _weights()
    recognizer = EmotionRecognizer(tmp_path / "out", detector="none")
    assert recognizer.labels == ("neutral", "happiness", "sadness")
    # Crops are RGB whatever the network was trained on.
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(faces))
    assert probs == pytest.approx(softmax(logits), abs=2e-6)


@pytest.mark.parametrize("shape", [["N", S, S], ["N", S * S], ["N", 1, S, S], ["N", S, S, 1]])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.UINT8])
def test_gray_faces_of_every_shape_and_type(tmp_path: Path, shape: list[Any], kind: int) -> None:
    path = _linear(tmp_path / "net.onnx", shape, kind=kind, names=("x", "y"))
    whole = kind == TensorProto.UINT8
    # Bytes go in as they are: nothing needs to be said of their scale.
    settings = AdoptConfig(NAMES, scale=None if whole else 1.0)
    adopt(path, tmp_path / "out", settings)
    faces = _faces(channels=1)
    expected = faces.reshape(len(faces), -1).astype(np.float64) @ _weights(1)
    recognizer = EmotionRecognizer(tmp_path / "out", detector="none")
    assert recognizer.pipeline.logits(faces) == pytest.approx(expected, rel=1e-4, abs=0.01)


def test_what_the_graph_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = _linear(tmp_path / "net.onnx", SHAPES["nhwc"])
    with pytest.raises(ConfigError, match=r"--labels.*--color.*--scale") as error:
        adopt(path, tmp_path / "out", AdoptConfig())
    assert "--size" not in str(error.value)
    free = _linear(tmp_path / "free.onnx", SHAPES["nhwc"])
    model = onnx.load(free)
    for axis in (1, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    onnx.save_model(model, free)
    with pytest.raises(ConfigError, match=r"--size.*--color.*--layout"):
        adopt(free, tmp_path / "out", AdoptConfig(NAMES, scale=1.0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("happy", "sad")}, "3 outputs, but 2 labels"),
        ({"labels": ("happy", "joy", "sad")}, "happiness"),
        ({"size": 48}, "--size says 48, but the graph says 12"),
        ({"color": "gray"}, "--color says 1"),
        ({"layout": "nchw"}, "--layout says nchw"),
        ({"mean": (0.5, 0.5)}, "got 2"),
        ({"std": (0.0,)}, "std above 0"),
        ({"output_name": "probs"}, "no scores named 'probs'"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = _linear(tmp_path / "net.onnx", SHAPES["nhwc"])
    given = {"labels": NAMES, "color": "rgb", "scale": 1 / 255, **changes}
    with pytest.raises(ConfigError, match=words):
        adopt(path, tmp_path / "out", AdoptConfig(**given))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"color": "grey"}, "color 'grey'.*Did you mean 'gray'"),
        ({"layout": "nwhc"}, "layout 'nwhc'.*Did you mean 'nhwc'"),
        ({"scale": 0.0}, "scale must be above 0"),
    ],
)
def test_unknown_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        AdoptConfig(**changes)


def test_sigmoids_and_fixed_batches_are_told(tmp_path: Path) -> None:
    settings = AdoptConfig(NAMES, color="rgb", scale=1 / 255)
    path = _linear(tmp_path / "net.onnx", SHAPES["nchw"], end="Sigmoid")
    with pytest.raises(ConfigError, match="--activation"):
        adopt(path, tmp_path / "out", settings)
    model = onnx.load(_linear(tmp_path / "one.onnx", SHAPES["nchw"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, -1]), "one"))
    model.graph.node[1].CopyFrom(helper.make_node("Reshape", ["cast", "one"], ["flat"]))
    onnx.save_model(model, tmp_path / "one.onnx")
    with pytest.raises(ModelError, match="free batch axis"):
        adopt(tmp_path / "one.onnx", tmp_path / "out", settings)


def test_files_that_are_no_classifier_of_faces_are_refused(tmp_path: Path) -> None:
    path = _linear(tmp_path / "net.onnx", SHAPES["nchw"])
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(path.read_bytes()[:-40])
    table = _linear(tmp_path / "table.onnx", ["N", S * S])
    model = onnx.load(table)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 17
    onnx.save_model(model, table)
    settings = AdoptConfig(NAMES, color="rgb", scale=1.0)
    for file, words in ((cut, "no usable"), (table, "17 values"), (tmp_path / "x", "no file")):
        with pytest.raises(ModelError, match=words):
            adopt(file, tmp_path / "out", settings)


def test_labels_are_read_from_lists_files_and_schemas(tmp_path: Path) -> None:
    lines, listed = tmp_path / "a.txt", tmp_path / "a.json"
    lines.write_text("happy\nsad\n\n")
    listed.write_text('["happy", "sad"]')
    for text in ("happy,sad", str(lines), str(listed)):
        assert read_labels(text) == ("happy", "sad")
    with pytest.raises(ConfigError, match="neither a list"):
        read_labels("hapy")
    assert schema_of(read_labels("fer7")).name == "fer7"
    assert schema_of(("angry", "happy", "sad")).labels == ("angry", "happy", "sad")
    assert schema_of(("cat", "happy")).labels == ("cat", "happy")


def test_command_adopts_tries_predicts_and_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from support.network import write_model

    made = write_model(tmp_path / "made")
    data = write_folder(tmp_path / "faces", 12)
    out = tmp_path / "adopted"
    # The made network wants faces normalised one by one; raw bytes mislead it, and that is said.
    call = [
        "adopt", str(made / "model.onnx"), "-o", str(out), "--labels", "happy,sad,neutral",
        "--scale", "1/64", "--mean", "2", "--license", "mit", "-d", f"folder:{data}",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        main(call)
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert "12 labelled faces: accuracy" in printed
    config = read_model_folder(out).config
    assert config.license == "mit"
    assert config.preprocessing.mean == pytest.approx((2 * 64 / 255,))
    assert config.preprocessing.std == pytest.approx((64 / 255,))
    face = np.asarray(draw_face("happiness", 5).convert("RGB"))
    result = EmotionRecognizer(out, detector="none").predict(face)
    assert result.model == "model.adopted"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "-m", str(out), "-d", f"folder:{data}", "--format", "json"])
    assert not stop.value.code
    with pytest.raises(SystemExit) as stop:
        main(call)
    assert stop.value.code == 2
    assert "--overwrite" in capsys.readouterr().err


def test_labels_in_the_wrong_order_give_a_warning(tmp_path: Path) -> None:
    from support.network import write_model

    made = write_model(tmp_path / "made")
    manifest = read_manifest(f"folder:{write_folder(tmp_path / 'faces', 40)}")
    settings = AdoptConfig(("sad", "neutral", "happy"), scale=1 / 64, mean=(2.0,))
    wrong = adopt(made / "model.onnx", tmp_path / "a", settings, check=manifest)
    assert "check the order of --labels" in wrong.warning
