from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

onnx = pytest.importorskip("onnx")

from mien import EmotionRecognizer
from mien.backends import onnx as onnx_backend
from mien.backends import open_backend
from mien.backends.session import Session
from mien.cli import main
from mien.data import read_manifest
from mien.errors import ConfigError, ModelError
from mien.exporting import ExportConfig, export_formats
from mien.exporting.conversions import to_int8_static
from mien.exporting.graph import float_graph, read_graph
from mien.hub import read_model_folder
from support import ROOT
from support.exporting_formats import FORMATS, Exported
from support.faces import LABELS, draw_face


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


def _faces(count: int = 9) -> list[np.ndarray]:
    return [
        np.asarray(draw_face(LABELS[index % 3], 90_000 + index).convert("RGB"))
        for index in range(count)
    ]


def test_every_format_lies_in_the_folder_and_answers_like_float32(exported: Exported) -> None:
    folder, results = exported
    expected = EmotionRecognizer(folder.path, detector="none").predict_faces(_faces())
    assert [result.format for result in results] == ["onnx", *FORMATS]
    for result in results[1:]:
        assert not result.refused
        assert folder.config.files[result.file]["format"] == result.format
        recognizer = EmotionRecognizer(folder.path / result.file, detector="none")
        probs = recognizer.predict_faces(_faces())
        assert (probs.argmax(1) == expected.argmax(1)).all()
        assert 0 < np.abs(probs - expected).max() < (0.01 if "fp16" in result.format else 0.3)
        assert result.ms_1 > 0
        assert result.ms_32 > 0
    assert {"model.onnx", "model.embedded.onnx"} < set(folder.config.files)


def test_results_are_those_of_evaluate(exported: Exported, data: Path) -> None:
    from mien.evaluation import evaluate

    folder, results = exported
    manifest = read_manifest(f"folder:{data}")
    for result in results:
        recognizer = EmotionRecognizer(folder.path / result.file, detector="none")
        scores = evaluate(recognizer, manifest).scores()
        assert result.after == pytest.approx(scores["accuracy"])
        assert result.interval == pytest.approx(tuple(scores["accuracy_ci"]))
        assert result.after is not None
        assert results[0].after is not None
        assert result.drop == pytest.approx(100 * (results[0].after - result.after))
        assert result.bytes == (folder.path / result.file).stat().st_size


def test_batch_norms_are_folded_and_logits_kept(exported: Exported) -> None:
    folder = exported[0]
    kinds = [node.op_type for node in read_graph(folder.path / "model.onnx").graph.node]
    base = float_graph(folder.path / "model.onnx")
    assert "BatchNormalization" in kinds
    assert "BatchNormalization" not in [node.op_type for node in base.graph.node]
    x = np.random.default_rng(0).normal(size=(3, 1, 48, 48)).astype(np.float32)
    import onnxruntime

    session = onnxruntime.InferenceSession(base.SerializeToString())
    expected = open_backend(folder).run(x).logits
    assert np.abs(session.run(["logits"], {"input": x})[0] - expected).max() < 1e-4


def test_static_weights_are_bytes_by_channel_near_the_float_ones(exported: Exported) -> None:
    folder = exported[0]
    read = onnx.numpy_helper.to_array
    floats = {t.name: read(t) for t in float_graph(folder.path / "model.onnx").graph.initializer}
    graph = onnx.load(folder.path / "model.int8-static.onnx").graph
    stored = {tensor.name: read(tensor) for tensor in graph.initializer}
    checked = 0
    for name, weight in floats.items():
        if weight.ndim != 4:
            continue
        quantized, scale = stored[f"{name}_quantized"], stored[f"{name}_scale"]
        assert quantized.dtype == np.int8
        assert scale.shape == (len(weight),)
        by_hand = np.abs(weight).max(axis=(1, 2, 3)) / 127
        assert scale == pytest.approx(by_hand, rel=0.01)
        error = np.abs(quantized * scale.reshape(-1, 1, 1, 1) - weight)
        assert (error <= 0.51 * scale.reshape(-1, 1, 1, 1)).all()
        checked += 1
    assert checked == 2


def test_last_layer_stays_float_and_the_first_can(exported: Exported) -> None:
    base = float_graph(exported[0].path / "model.onnx")
    batch = np.random.default_rng(0).normal(size=(20, 1, 48, 48)).astype(np.float32)

    def bytes_stored(**options: Any) -> int:
        graph = to_int8_static(base, batch, **options).graph
        return sum(
            t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1 for t in graph.initializer
        )

    layers = sum(node.op_type in {"Conv", "Gemm"} for node in base.graph.node)
    assert bytes_stored() == layers - 1
    assert bytes_stored(float_first=True) == layers - 2


def test_embedded_files_are_written_and_refused_by_the_library(exported: Exported) -> None:
    folder = exported[0]
    name = "model.int8-static.embedded.onnx"
    assert folder.config.files[name]["preprocessing"] == "embedded"
    with pytest.raises(ModelError, match="without mien"):
        EmotionRecognizer(folder.path / name)


def test_script_without_mien_says_the_same(exported: Exported, tmp_path: Path) -> None:
    folder = exported[0]
    face = tmp_path / "face.png"
    Image.fromarray(_faces(1)[0]).save(face)
    script = ROOT / "examples" / "onnx_only" / "read_face.py"
    assert "mien" not in sys.modules or "import mien" not in script.read_text()
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(folder.path / "model.embedded.onnx"), str(face)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
    expected = EmotionRecognizer(folder.path, detector="none").predict(face).faces[0]
    assert said == pytest.approx(expected.probs, abs=6e-4)
    assert next(iter(said)) == expected.emotion


def test_network_that_lost_its_accuracy_is_not_written(
    made: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat" / "train"
    for label in LABELS:
        (flat / label).mkdir(parents=True)
        Image.new("L", (48, 48), 128).save(flat / label / "a.png")
    out = tmp_path / "out"
    code = _run(
        "export", str(made), "-o", str(out), "--format", "int8-static", "--format", "onnx-fp16",
        "-d", f"folder:{data}", "--calibrate", f"folder:{flat.parent}", "--max-drop", "4",
    )  # fmt: skip
    printed, said = capsys.readouterr()
    assert code == 1
    assert "accuracy fell by" in said
    assert "refused" in printed
    assert "onnx-fp16" in printed
    assert sorted(path.name for path in out.glob("*.onnx")) == [
        "model.onnx", "model.onnx-fp16.onnx",
    ]  # fmt: skip
    assert "model.int8-static.onnx" not in read_model_folder(out).config.files


def test_calibrations_are_compared_on_other_faces(made: Path, data: Path, tmp_path: Path) -> None:
    options = ExportConfig(("int8-static",), calibration="compare", calibration_faces=16)
    manifest = read_manifest(f"folder:{data}")
    folder, results = export_formats(made, tmp_path / "out", options, calibrate=manifest)
    words = results[1].note.replace(",", "").split()
    errors = dict(zip(words[-6::2], map(float, words[-5::2]), strict=True))
    assert set(errors) == {"minmax", "entropy", "percentile"}
    assert words[0] == min(errors, key=lambda name: errors[name])
    assert results[1].after is None
    assert (folder.path / "model.int8-static.onnx").is_file()


def test_nothing_is_replaced_and_faces_are_asked_for(exported: Exported, tmp_path: Path) -> None:
    path = exported[0].path
    with pytest.raises(ConfigError, match="--calibrate"):
        export_formats(path, tmp_path / "x", ExportConfig(("int8-static",)))
    for options in (ExportConfig(("int8-dynamic",)), ExportConfig((), embed=True)):
        with pytest.raises(ConfigError, match="--overwrite"):
            export_formats(path, None, options)
    assert not (tmp_path / "x").exists()


def test_formats_land_beside_model_onnx_and_leave_it_alone(made: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    before = (run / "model.onnx").read_bytes()
    assert _run("export", str(run), "--format", "int8-dynamic", "-q") == 0
    assert (run / "model.onnx").read_bytes() == before
    files = read_model_folder(run).config.files
    assert files["model.int8-dynamic.onnx"]["format"] == "int8-dynamic"
    assert not list(run.glob(".export-*"))


def test_quantising_installs_no_handler_of_log_messages(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(logging.root, "handlers", [])
        export_formats(made, tmp_path / "out", ExportConfig(("int8-dynamic",)))
        assert logging.root.handlers == []


def test_torch_program_agrees(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    options = ExportConfig(("torch-export",))
    folder, results = export_formats("mienet_s.ferplus8", tmp_path / "out", options)
    assert results[1].difference < 1e-4
    assert folder.config.files["model.torch-export.pt2"]["format"] == "torch-export"
    program = torch.export.load(folder.path / "model.torch-export.pt2").module()
    x = torch.randn(5, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    expected = open_backend(folder).run(x.numpy()).logits
    assert np.abs(program(x).detach().numpy() - expected).max() < 1e-4


def test_openvino_agrees_and_its_weights_are_checked(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    folder, _ = export_formats(made, tmp_path / "out", ExportConfig(("openvino",)))
    path = folder.path / "model.openvino.xml"
    fast, slow = open_backend(read_model_folder(path)), open_backend(folder)
    x = np.random.default_rng(0).normal(size=(7, 1, 48, 48)).astype(np.float32)
    assert np.abs(fast.run(x).logits - slow.run(x).logits).max() < 0.02
    features = fast.run(x, features=True).features
    assert features is not None
    assert features.shape == (7, 16, 12, 12)
    with path.with_suffix(".bin").open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\x00\xff\x00\xff")
    with pytest.raises(ModelError, match=r"openvino\.bin is damaged"):
        open_backend(read_model_folder(path))
    path.write_text("<net>")
    with pytest.raises(ModelError, match="OpenVINO"):
        Session(path)


def test_cpu_without_vnni_is_told(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_backend, "has_int8_dot", lambda: False)
    open_backend(read_model_folder(copy))
    open_backend(read_model_folder())  # int8 in 7 bits: right on every CPU
    with pytest.warns(RuntimeWarning, match="VNNI"):
        open_backend(read_model_folder(copy / "model.int8-static.onnx"))


def test_damaged_network_of_a_folder_is_refused(copy: Path) -> None:
    path = copy / "model.int8-static.onnx"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ModelError, match="sha256"):
        open_backend(read_model_folder(path))
    path.unlink()
    with pytest.raises(ModelError, match="neither a folder"):
        read_model_folder(path)


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x08\x01" * 500, None])
def test_foreign_and_cut_files_are_no_graphs(
    exported: Exported, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "a.onnx"
    whole = (exported[0].path / "model.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ModelError, match="no usable ONNX model"):
        read_graph(path)
    with pytest.raises(ModelError, match="there is no file"):
        read_graph(tmp_path / "b.onnx")
