"""Fixtures of the tests that push to a Hub and fetch from it."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mien.hub import read_model_folder
from support import hub as stand_in


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[stand_in.Hub]:
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setenv("HF_TOKEN", stand_in.TOKEN)
    # The stand-in speaks HTTP and Git LFS, not the protocol of the Hub's own storage.
    for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setattr(constants, name, True, raising=False)
    with stand_in.running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        # Versions before 2 also compare with what they read when they were imported.
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        address = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(read_model_folder().path, tmp_path / "model"))
