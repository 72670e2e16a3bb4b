"""``device=`` of the torch backend where there is no GPU."""

from __future__ import annotations

import pytest

from mien import EmotionRecognizer
from mien.errors import ConfigError


def test_torch_without_a_gpu_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recognizer = EmotionRecognizer(backend="torch", detector="none", device="auto")
    assert len(recognizer.labels) == 8
    with pytest.raises(ConfigError, match=r"device .cuda:1. is not to be had here\. Use cpu"):
        EmotionRecognizer(backend="torch", detector="none", device="cuda:1")
