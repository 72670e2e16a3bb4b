"""``device=`` where there is no GPU: what works, and what the rest is told."""

from __future__ import annotations

from typing import Any

import pytest

from mien import EmotionRecognizer
from mien.backends.session import check_device, execution_providers, import_onnxruntime
from mien.errors import ConfigError


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says that there is no GPU, also on a machine that has one."""
    runtime = import_onnxruntime()
    monkeypatch.setattr(runtime, "get_available_providers", lambda: ["CPUExecutionProvider"])


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_processor_does_it(device: str) -> None:
    assert execution_providers(device) == ["CPUExecutionProvider"]
    recognizer = EmotionRecognizer(detector="none", device=device)
    assert len(recognizer.labels) == 8


@pytest.mark.parametrize("device", ["gpu", "CPU", "", "cuda:", "cuda:x", "cuda:-1", "mps", None, 0])
def test_a_name_that_is_none_is_told(device: Any) -> None:
    for call in (check_device, execution_providers):
        with pytest.raises(ConfigError, match=r"device must be auto, cpu, cuda or cuda:1; got"):
            call(device)
    with pytest.raises(ConfigError, match="device must be auto"):
        EmotionRecognizer(detector="none", device=device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{device}' needs .*Type: pip"):
        EmotionRecognizer(detector="none", device=device)
