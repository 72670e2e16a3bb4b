"""The public door: every name of ``mien`` is documented, and its example runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import mien
import mien.training
from mien.hub import ASSETS

#: The door, and what each documented module offers: nobody adds to it, or takes away, unseen.
DOOR = """
FER7 FERPLUS8 HES3 ConfigError DataError DetectorError EmotionRecognizer ErrorResult FaceEmotion
ImageResult InputError LabelSchema MienError MissingExtraError ModelError __version__ compare
ensemble evaluate explain export predict predict_video read_manifest train tune
"""


def test_door_is_what_is_written_down() -> None:
    assert sorted(mien.__all__) == sorted(DOOR.split())
    assert sorted(mien.__all__) == dir(mien)
    for name in mien.__all__:
        assert getattr(mien, name) is not None


def test_threads_share_the_recognizer_they_make(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = mien.EmotionRecognizer.__init__

    def counting(self: object, *args: object, **options: object) -> None:
        made.append(1)
        real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(mien.EmotionRecognizer, "__init__", counting)
    start = threading.Barrier(4)

    def work(_: int) -> mien.ImageResult:
        start.wait()
        return mien.predict(ASSETS / "sample" / "astronaut.jpg", min_face=31)

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(work, range(4))
    assert len(made) == 1
    assert all(other.faces == first.faces for other in others)


def test_classes_and_functions_stand_for_their_names() -> None:
    from mien.training.result import make_recipe

    config, manifest = make_recipe("folder:x", None, {"loss": os.path.join, "epochs": 1})
    assert (config.loss, config.epochs, manifest) == (f"{os.path.__name__}:join", 1, None)
    assert config.warmup_epochs == 0.5, "a short run warms up for half of it at most"


def test_import_is_light_and_quick() -> None:
    code = (
        "import sys, time; start = time.process_time(); import mien; "
        "took = time.process_time() - start; "
        "print(took, *(m for m in ('numpy', 'PIL', 'onnxruntime', 'torch') if m in sys.modules))"
    )
    took, *heavy = min(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    )
    assert heavy == []
    assert float(took) < 0.05
