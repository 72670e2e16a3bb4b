"""What the tests of cli share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mien.cli import main
from mien.cli.sources import SAMPLE


def run(*arguments: str) -> int:
    """Runs the command line in this process; returns its exit code."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(SAMPLE.read_bytes())
    Image.open(SAMPLE).resize((256, 256)).save(folder / "below" / "b.png")
    (folder / "c.jpg").write_bytes(b"this is no picture")
    Image.new("RGB", (80, 60), "white").save(folder / "d.png")
    return folder
