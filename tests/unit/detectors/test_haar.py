"""The cascade: any shape, and what is said when it is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mien.detectors import get_detector
from mien.detectors.haar import HaarDetector
from mien.errors import MissingExtraError, ModelError

cv2 = pytest.importorskip("cv2")


@pytest.mark.parametrize("shape", [(1, 1), (19, 400), (3000, 1), (20, 20)])
def test_haar_takes_any_shape(shape: tuple[int, int]) -> None:
    assert len(HaarDetector().detect(np.full((*shape, 3), 90, np.uint8))) == 0


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, "'haar' needs an extra"),
        (SimpleNamespace(__version__="5.0.0"), "5.0.0 has no cascades; 'haar' needs 4"),
        (
            SimpleNamespace(__version__="4.x", CascadeClassifier=None, data=None),
            "came without haarcascade_frontalface_alt2.xml",
        ),
    ],
)
def test_haar_says_what_to_install(
    module: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", module)
    with pytest.raises((ModelError, MissingExtraError), match=message) as caught:
        get_detector("haar")
    assert 'pip install "mien[haar]"' in str(caught.value)
