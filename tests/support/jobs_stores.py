"""What the tests of stores share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.jobs import JobConfig, predict_files
from support.jobs import read


@pytest.fixture(scope="module")
def local(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """What a job over the files says, by name."""
    output = tmp_path_factory.mktemp("local") / "out"
    config = JobConfig(workers=1, part_size=4, detector="none")
    predict_files([faces], output, config=config)
    return by_name(read(output), str(faces))


def by_name(table: object, root: str) -> dict[str, tuple[object, ...]]:
    rows = table.to_pylist()  # type: ignore[attr-defined]
    return {
        row["source"].removeprefix(root): (row["width"], row["emotion"], row["confidence"])
        for row in rows
    }
