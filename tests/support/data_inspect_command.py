"""What the tests of inspect command share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.cli.data import app
from support.faces import Draw


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        app(["inspect", *(str(argument) for argument in arguments)], prog_name="mien data")
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory, draw: Draw) -> Path:
    root = tmp_path_factory.mktemp("leaking")
    for at, (folder, label) in enumerate((("happy", "happiness"), ("sad", "sadness"))):
        for split in ("train", "valid"):
            (root / split / folder).mkdir(parents=True)
            for index in range(10):
                seed = 100 * at + index + (50 if split == "valid" else 0)
                draw(label, seed).save(root / split / folder / f"{split}{index}.png")
    (root / "train/happy/broken.jpg").write_bytes(b"\xff\xd8 broken")
    draw("happiness", 1).save(root / "valid/happy/copy.png")
    return root
