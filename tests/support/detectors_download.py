"""What the tests of download share."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mien.detectors.download import fetch

BODY = bytes(range(256)) * 500


DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def get(url: str, timeout_s: float = 5.0) -> Path:
    return fetch(
        url,
        sha256=DIGEST,
        size=len(BODY),
        name="file.bin",
        advice="Pass the file.",
        timeout_s=timeout_s,
    )
