"""Eight threads that explain with one recognizer get the maps of one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mien import EmotionRecognizer
from mien.explanation.image import read_image
from support.faces import draw_face

LABELS = ("happiness", "sadness", "neutral")


def _explain(recognizer: EmotionRecognizer, seed: int, method: str) -> NDArray[np.float32]:
    label = LABELS[seed % 3]
    picture = np.asarray(draw_face(label, seed, 64).convert("RGB"))
    return read_image(recognizer, picture).maps(recognizer, label=label, method=method)


def test_eight_threads_give_the_maps_of_one() -> None:
    recognizer = EmotionRecognizer(detector="none", threads=1)
    work = partial(_explain, recognizer, method="cam")
    alone = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(8)))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))
    assert len({maps.tobytes() for maps in alone}) == 8
