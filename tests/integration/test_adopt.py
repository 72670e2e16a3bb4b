from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from mien import EmotionRecognizer
from mien.adoption import AdoptConfig, adopt
from mien.data import read_manifest
from support.faces import LABELS, draw_face, write_folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipmap", [True, False])
def test_scikit_learn_agrees_with_itself(tmp_path: Path, zipmap: bool) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression

    x = np.stack([np.asarray(draw_face(LABELS[i % 3], i, 24)) for i in range(90)]) / 255.0
    y = np.array([LABELS[i % 3] for i in range(90)])
    model = LogisticRegression(C=0.05, max_iter=200).fit(x.reshape(90, -1), y)
    converted = skl2onnx.convert_sklearn(
        model, initial_types=[("pixels", FloatTensorType([None, 576]))],
        options={id(model): {"zipmap": zipmap}}, target_opset={"": 17, "ai.onnx.ml": 3},
    )  # fmt: skip
    path = tmp_path / "sk.onnx"
    path.write_bytes(converted.SerializeToString())
    # Labels, size and colour stand in the graph.
    adoption = adopt(path, tmp_path / "out", AdoptConfig(scale=1 / 255))
    assert adoption.folder.config.schema.labels == ("happiness", "neutral", "sadness")
    faces = (x * 255).round().astype(np.uint8)[..., None]
    recognizer = EmotionRecognizer(tmp_path / "out", detector="none")
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(faces))
    assert probs == pytest.approx(model.predict_proba(x.reshape(90, -1)), abs=1e-5)


_KERAS = """
import sys, numpy as np, keras
x, y = np.load(sys.argv[1])["x"], np.load(sys.argv[1])["y"]
keras.utils.set_random_seed(0)
net = keras.Sequential([
    keras.Input((48, 48, 1)), keras.layers.Rescaling(1 / 255),
    keras.layers.Conv2D(8, 5, strides=2, activation="relu"), keras.layers.BatchNormalization(),
    keras.layers.Conv2D(16, 3, strides=2, activation="relu"), keras.layers.Flatten(),
    keras.layers.Dense(3, activation="softmax")])
net.compile("adam", "sparse_categorical_crossentropy")
net.fit(x, y, epochs=8, batch_size=16, verbose=0)
np.save(sys.argv[3], np.asarray(net.predict(x, verbose=0)))
net.export(sys.argv[2], format="onnx", verbose=False)
"""


@pytest.mark.slow
def test_keras_network_is_adopted_whole(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    torch_only = ["keras>=3.8", "torch", "onnx", "onnxscript"]
    for command in (
        ["uv", "venv", "-q", str(tmp_path / "venv"), "-p", sys.executable],
        ["uv", "pip", "install", "-q", "-p", str(python), *torch_only],
    ):
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"an environment for Keras cannot be made: {error}")
        if done.returncode:
            pytest.skip(f"Keras cannot be installed: {done.stderr[-200:]}")
    faces = np.stack([np.asarray(draw_face(LABELS[i % 3], i)) for i in range(96)])[..., None]
    np.savez(tmp_path / "faces.npz", x=faces, y=np.arange(96) % 3)
    script, path, answers = (tmp_path / name for name in ("t.py", "keras.onnx", "answers.npy"))
    script.write_text(_KERAS)
    arguments = [str(python), str(script), str(tmp_path / "faces.npz"), str(path), str(answers)]
    environment = {**os.environ, "KERAS_BACKEND": "torch", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = read_manifest(f"folder:{write_folder(tmp_path / 'drawn', 24)}")
    settings = AdoptConfig(("happy", "sad", "neutral"), scale=1.0)
    adoption = adopt(path, tmp_path / "out", settings, check=manifest)
    assert adoption.probabilities
    assert adoption.facts.layout == "nhwc"
    recognizer = EmotionRecognizer(tmp_path / "out", detector="none")
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(faces))
    assert probs == pytest.approx(np.load(answers), abs=1e-4)
    assert adoption.evaluation is not None
    assert adoption.evaluation.scores()["accuracy"] > 0.6
