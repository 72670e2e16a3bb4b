"""What the tests of groups share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.evaluation import Evaluation


def _evaluation(right: np.ndarray, class_ids: np.ndarray) -> Evaluation:
    predicted = np.where(right, class_ids, 1 - class_ids)
    probs = np.where(np.eye(2)[predicted] > 0, 0.9, 0.1)
    return Evaluation(
        model="m", data="d", split="valid", labels=("bad", "good"),
        keys=tuple(map(str, range(len(right)))), class_ids=class_ids,
        targets=np.eye(2, dtype=np.float32)[class_ids], probs=probs,
        leaked=np.zeros(len(right), bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces as csv: and folder:, with a column that says who holds the pencil."""
    from support.faces import write_folder

    root = tmp_path_factory.mktemp("groups")
    folder = Path(write_folder(root / "faces", 96))
    names = sorted(path.relative_to(root).as_posix() for path in folder.rglob("*.png"))
    lines = ["file_name,label,split,hand,subject_id"]
    for at, name in enumerate(names):
        split, label = name.split("/")[1:3]
        lines.append(f"{name},{label},{split},{'left' if at % 2 else 'right'},s{at}")
    (root / "faces.csv").write_text("\n".join(lines) + "\n")
    table = "\n".join(line.replace("faces/", "", 1) for line in lines)
    (root / "hands.csv").write_text(table + "\n")
    return root
