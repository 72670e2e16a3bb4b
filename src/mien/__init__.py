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
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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

__version__ = "0.2.0"

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


def lazy_names(module: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Returns a module's ``__getattr__``, which imports one of the names when it is first used.

    ``names`` are by the module that defines them.
    """
    homes = {name: home for home, defined in names.items() for name in defined}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[module], name, value)
        return value

    return load


__getattr__ = lazy_names(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted(__all__)
