"""Backends: devices, threads and what they leave of the caller's process."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mien import ConfigError, EmotionRecognizer
from mien.backends import open_backend
from mien.backends.session import Session, execution_providers
from mien.hub import ASSETS, ONNX, read_model_folder

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """ONNX Runtime as if it had CUDA; what sessions were opened with."""
    opened: list[Any] = []
    real = onnxruntime.InferenceSession

    def fake(data: bytes, options: object, providers: list[Any]) -> object:
        opened.append(providers)
        return real(data, options, providers=[CPU])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", fake)
    return opened


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", [CPU]),
        ("auto", [(CUDA, {"device_id": 0}), CPU]),
        ("cuda", [(CUDA, {"device_id": 0}), CPU]),
        ("cuda:1", [(CUDA, {"device_id": 1}), CPU]),
    ],
)
def test_device_names_the_provider(with_cuda: list[Any], device: str, expected: list[Any]) -> None:
    assert execution_providers(device) == expected
    recognizer = EmotionRecognizer(detector="none", device=device)
    assert with_cuda == [expected]
    assert recognizer.predict_faces([np.zeros((48, 48, 3), np.uint8)]).shape == (1, 8)
    recognizer.pipeline.single_threaded()
    assert with_cuda == [expected, expected], "one thread per run, on the same device"


def test_every_form_of_a_network_takes_a_device(with_cuda: list[Any]) -> None:
    """int8 networks run through the same session; the picture as a face needs no detector."""
    folder = read_model_folder()
    open_backend(folder, device="cuda:1")
    Session(folder.file(ONNX), device="cuda:1", threads=2)
    Session(ASSETS / "detector" / "detector.onnx", device="cpu")
    assert with_cuda == [[(CUDA, {"device_id": 1}), CPU]] * 2 + [[CPU]]


@pytest.mark.parametrize("spin", [False, True])
def test_threads_sleep_after_a_run(spin: bool) -> None:
    session = Session(ASSETS / "detector" / "detector.onnx", threads=2, spin=spin)
    used = []
    for _ in range(3):
        session.run(None, {"image": np.zeros((1, 480, 640, 3), np.uint8)})
        start = time.process_time()
        time.sleep(0.05)
        used.append(time.process_time() - start)
    assert min(used) < 0.005


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_device_that_is_not_there_is_refused(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    if backend == "torch":
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="'cuda'"):
        EmotionRecognizer(detector="none", backend=backend, device="cuda")
    assert EmotionRecognizer(detector="none", backend=backend, device="auto").labels
    for wrong in ("gpu", "cuda:x", "CUDA", None):
        with pytest.raises(ConfigError, match="cuda:1"):
            EmotionRecognizer(detector="none", backend=backend, device=wrong)  # type: ignore[arg-type]


def test_nothing_of_the_process_is_changed_for_good(tmp_path: object) -> None:
    """Environment, warning filters, log levels and files in the home folder."""
    code = """
import logging, os, pathlib, sys, warnings
def state():
    levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    return dict(os.environ), list(warnings.filters), {n: l for n, l in levels.items() if l}
before = state()
import mien
mien.EmotionRecognizer().predict(sys.argv[1])
after = state()
assert after[0] == before[0], set(after[0].items()) ^ set(before[0].items())
assert [f for f in after[1] if "mien" in str(f) or "PIL" in str(f)] == []
assert after[2] == before[2], after[2]
print(sorted(str(p) for p in pathlib.Path.home().rglob("*") if "ONNX" in str(p).upper()))
"""
    sample = ASSETS / "sample" / "astronaut.jpg"
    done = subprocess.run(
        [sys.executable, "-c", code, str(sample)],
        capture_output=True,
        text=True,
        check=False,
        env={**_environment(), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", "ONNX Runtime keeps no record"


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
