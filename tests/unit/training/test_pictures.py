from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.evaluation import Evaluation
from mien.training import pictures


def test_mistakes_come_first_and_every_face_says_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}

    def keep(tiles: Any, captions: list[str], *, title: str, **_: Any) -> Any:
        seen.update(tiles=tiles, captions=captions, title=title)
        return tiles[0]

    monkeypatch.setattr(pictures, "sheet", keep)
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.999, 0.001]])
    true = np.array([0, 1, 1, 1])
    evaluation = Evaluation(
        "model", "data", "valid", ("joy", "fear"), ("a", "b", "c", "d"), true,
        np.eye(2, dtype=np.float32)[true], probs, np.zeros(4, np.bool_),
    )  # fmt: skip
    faces = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    pictures.answer_sheet(evaluation, faces, count=3)
    assert [int(tile[0, 0]) for tile in seen["tiles"]] == [3, 0, 2]
    assert seen["captions"] == [
        "is fear\nread as joy\nover 99%", "is joy\nread right\n90%", "is fear\nread right\n80%",
    ]  # fmt: skip
    assert seen["title"] == "1 mistakes, then faces read right (50% of all are)"
