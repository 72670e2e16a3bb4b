"""What the tests of recipe runs share."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faces import write_folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("recipes") / "faces", 16)


def _values(data: Path, **more: object) -> dict[str, object]:
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 3, "warmup_epochs": 0,
        "batch_size": 16, "lr": 0.05, "ema_decay": 0, "threads": 1, "precision": "32",
        "device": "cpu", "tag": "drawn", **more,
    }  # fmt: skip


def rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets the operating system refuse to write beyond a size, as a full disk does."""
    resource = pytest.importorskip("resource")  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
