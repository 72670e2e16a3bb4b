"""The models of the page: opened once, shared by all visitors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import InputError
from mien.explanation import light_method
from mien.images import ImageLimits
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from mien.demo.config import DemoConfig

#: Most pixels a photo may have, and most faces that are shown of one.
MAX_PIXELS, MAX_FACES = 25_000_000, 50


@dataclass(frozen=True)
class Model:
    """A recognizer, what the page calls it, and how its maps are made.

    Args:
        name: What the visitor chooses.
        recognizer: The model and the detector.
        method: A method of :mod:`mien.explanation` that needs no torch.
    """

    name: str
    recognizer: EmotionRecognizer
    method: str


def open_models(config: DemoConfig) -> dict[str, Model]:
    """Opens the models of the settings, each with one run to be sure of it.

    Raises:
        ModelError: If a model cannot be loaded.
        ConfigError: If a name is unknown.
    """
    limits = ImageLimits(max_bytes=config.max_bytes, max_pixels=MAX_PIXELS)
    models = {}
    for given, folder in (config.models or {"": None}).items():
        recognizer = EmotionRecognizer(
            folder, max_faces=MAX_FACES, limits=limits, device=config.device
        )
        name = given or recognizer.config.name
        models[name] = Model(name, recognizer, light_method(recognizer))
    return models


def choose(models: dict[str, Model], name: str | None) -> Model:
    """Returns the model of a name; None or an empty one: the first.

    Raises:
        InputError: If there is no such model.
    """
    if not name:
        return next(iter(models.values()))
    if name not in models:
        raise InputError(f"no model {str(name)[:80]!r} here", hint=f"Known: {', '.join(models)}.")
    return models[name]
