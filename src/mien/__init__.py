"""mien reads facial expressions: predict from photos, or train your own.

Public names load what they need when they are first used, so ``import mien`` costs next to
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.errors import (
        ConfigError,
        DataError,
        DetectorError,
        InputError,
        MienError,
        MissingExtraError,
        ModelError,
    )
    from mien.labels import FER7, FERPLUS8, HES3, LabelSchema
    from mien.recognizer import EmotionRecognizer
    from mien.results import ErrorResult, FaceEmotion, ImageResult

__version__ = "0.1.0"

#: Public name -> the module that defines it.
_HOMES = {
    "ConfigError": "mien.errors",
    "DetectorError": "mien.errors",
    "DataError": "mien.errors",
    "EmotionRecognizer": "mien.recognizer",
    "ErrorResult": "mien.results.records",
    "FER7": "mien.labels",
    "FERPLUS8": "mien.labels",
    "FaceEmotion": "mien.results.records",
    "HES3": "mien.labels",
    "ImageResult": "mien.results.records",
    "InputError": "mien.errors",
    "LabelSchema": "mien.labels",
    "MienError": "mien.errors",
    "MissingExtraError": "mien.errors",
    "ModelError": "mien.errors",
}

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
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
