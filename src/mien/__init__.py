"""mien reads facial expressions: predict from photos and clips, or train your own.

Every public name is here and loads what it needs when it is first used, so ``import mien`` costs
next to nothing. Functions are verbs, packages are nouns: :func:`mien.train` is one step of what
:mod:`mien.training` does.

>>> import mien
>>> result = mien.predict("src/mien/assets/sample/astronaut.jpg")
>>> result.faces[0].emotion
'happiness'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.comparison import compare
    from mien.data import read_manifest
    from mien.ensembles import ensemble
    from mien.errors import (
        ConfigError,
        DataError,
        DetectorError,
        InputError,
        MienError,
        MissingExtraError,
        ModelError,
    )
    from mien.evaluation import evaluate
    from mien.explanation import explain
    from mien.exporting import export
    from mien.labels import FER7, FERPLUS8, HES3, LabelSchema
    from mien.recognizer import EmotionRecognizer, predict
    from mien.results import ErrorResult, FaceEmotion, ImageResult
    from mien.training import train
    from mien.training.tuning import tune
    from mien.video import predict_video

__version__ = "0.1.0"

#: Module -> the public names that it defines.
_NAMES = {
    "mien.comparison": ("compare",),
    "mien.data": ("read_manifest",),
    "mien.ensembles": ("ensemble",),
    "mien.errors": (
        "ConfigError", "DataError", "DetectorError", "InputError", "MienError",
        "MissingExtraError", "ModelError",
    ),
    "mien.evaluation": ("evaluate",),
    "mien.explanation": ("explain",),
    "mien.exporting": ("export",),
    "mien.labels": ("FER7", "FERPLUS8", "HES3", "LabelSchema"),
    "mien.recognizer": ("EmotionRecognizer", "predict"),
    "mien.results": ("ErrorResult", "FaceEmotion", "ImageResult"),
    "mien.training": ("train",),
    "mien.training.tuning": ("tune",),
    "mien.video": ("predict_video",),
}  # fmt: skip
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "FER7",
    "FERPLUS8",
    "HES3",
    "ConfigError",
    "DataError",
    "DetectorError",
    "EmotionRecognizer",
    "ErrorResult",
    "FaceEmotion",
    "ImageResult",
    "InputError",
    "LabelSchema",
    "MienError",
    "MissingExtraError",
    "ModelError",
    "__version__",
    "compare",
    "ensemble",
    "evaluate",
    "explain",
    "export",
    "predict",
    "predict_video",
    "read_manifest",
    "train",
    "tune",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
