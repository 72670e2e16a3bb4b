"""The ways to explain a face, by name: a decorator and a dict."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mien.config import knows
from mien.errors import ConfigError, InputError, ModelError, suggest
from mien.explanation.activation import (
    activation_maps,
    class_coefficients,
    label_columns,
    logits_follow,
    resize_maps,
)
from mien.explanation.classifier import read_classifier
from mien.hub import WEIGHTS
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.recognizer import EmotionRecognizer


@dataclass(frozen=True, eq=False)
class FaceBatch:
    """N faces as the network saw them.

    Args:
        crops: uint8 (N, S, S, C).
        logits: float32 (N, K).
        features: float32 (N, F, h, w), or None where the network offers none.
    """

    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]
    features: NDArray[np.float32] | None


class Method(Protocol):
    """Maps of N faces: float (N, h, w), 0 and above, on any scale."""

    def __call__(
        self, recognizer: EmotionRecognizer, batch: FaceBatch, columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Explains for each face the label of the recognizer at ``columns`` (N,)."""


@dataclass(frozen=True)
class MethodSpec:
    """A method and what a listing says of it."""

    name: str
    run: Method
    summary: str
    extra: str | None = None


METHODS: dict[str, MethodSpec] = {}


def register_method(
    name: str, *, summary: str, extra: str | None = None
) -> Callable[[Method], Method]:
    """Adds a way to explain under a name.

    Args:
        name: What ``--method`` calls it.
        summary: One line for listings.
        extra: The extra that it needs, if any.

    Raises:
        ConfigError: If the name is taken.

    >>> @register_method("middle", summary="the middle of the face")
    ... def middle(recognizer, batch, columns):
    ...     return np.ones((len(columns), 1, 1), np.float32)
    >>> METHODS.pop("middle").summary
    'the middle of the face'
    """

    def add(run: Method) -> Method:
        if name in METHODS:
            raise ConfigError(f"a method named {name!r} is registered already: take another name.")
        METHODS[name] = MethodSpec(name, run, summary, extra)
        return run

    return add


def method_spec(name: str) -> MethodSpec:
    """Returns the method of a name.

    Raises:
        ConfigError: If there is none; the closest names are listed.

    >>> method_spec("cam").extra is None
    True
    """
    if not knows(METHODS, name):
        raise ConfigError(f"no method named {name!r}." + suggest(name, METHODS))
    return METHODS[name]


def light_method(recognizer: EmotionRecognizer) -> str:
    """Returns the name of a method that needs no torch: ``cam`` where it fits, else ``occlusion``.

    Raises:
        ModelError: If the weights cannot be read.
    """
    p = recognizer.config.preprocessing
    blank = run_batch(recognizer, np.zeros((1, p.size, p.size, p.channels), np.uint8))
    return "cam" if choose_method(recognizer, blank).name == "cam" else "occlusion"


def choose_method(
    recognizer: EmotionRecognizer, batch: FaceBatch, name: str | None = None
) -> MethodSpec:
    """Returns the method of a name, or for None the first that fits the network.

    That is ``cam`` where the logits follow from the features; where they do not and the train
    extra is installed, ``rollout`` for a network with attention (of whose last map Grad-CAM is no
    faithful account) and ``gradcam`` for any other; and else ``occlusion``.

    Raises:
        ConfigError: If there is no such method.
        ModelError: If the weights cannot be read.

    >>> from mien import EmotionRecognizer
    >>> recognizer = EmotionRecognizer()
    >>> choose_method(recognizer, run_batch(recognizer, np.zeros((1, 48, 48, 1), np.uint8))).name
    'cam'
    """
    if name is not None:
        return method_spec(name)
    features = batch.features
    if features is not None and logits_follow(
        features, read_classifier(recognizer.folder), batch.logits
    ):
        return METHODS["cam"]
    installed = all(importlib.util.find_spec(package) for package in ("torch", "pytorch_grad_cam"))
    weights = (recognizer.folder.path / WEIGHTS).is_file()
    if not (installed and weights):
        return METHODS["occlusion"]
    from mien.models import model_spec

    return METHODS["rollout" if model_spec(recognizer.config.architecture).attends else "gradcam"]


@register_method("cam", summary="class-activation map from the ONNX features; no torch")
def class_activation(
    recognizer: EmotionRecognizer, batch: FaceBatch, columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Class-activation maps of the label at ``columns`` (N,): float32 (N, h, w).

    Raises:
        ModelError: If the network offers no features, or does not end in pooling and a linear
            layer.
    """
    if batch.features is None:
        raise ModelError(
            (
                "offers no features: export it again, or type --method gradcam (with the train "
                "extra) or --method occlusion"
            ),
            subject=recognizer.config.name,
        )
    coefficients = class_coefficients(
        batch.logits, columns, recognizer.config, recognizer.pipeline.schema
    )
    classifier = read_classifier(recognizer.folder)
    return activation_maps(batch.features, classifier, coefficients, batch.logits)


def run_batch(recognizer: EmotionRecognizer, crops: NDArray[np.uint8]) -> FaceBatch:
    """Runs the network once over crops of its own size, uint8 (N, S, S, C), keeping features.

    Raises:
        InputError: If the crops have another shape.

    >>> from mien import EmotionRecognizer
    >>> run_batch(EmotionRecognizer(), np.zeros((2, 48, 48, 1), np.uint8)).features.shape
    (2, 240, 6, 6)
    """
    p = recognizer.config.preprocessing
    if crops.dtype != np.uint8 or crops.shape[1:] != (p.size, p.size, p.channels):
        raise InputError(
            f"expected uint8 crops (N, {p.size}, {p.size}, {p.channels}); got {crops.dtype} "
            f"{crops.shape}."
        )
    if not len(crops):
        return FaceBatch(crops, np.zeros((0, len(recognizer.config.schema)), np.float32), None)
    parts = [
        recognizer.pipeline.backend.run(
            normalize(crops[start : start + recognizer.pipeline.batch_size], p), features=True
        )
        for start in range(0, len(crops), recognizer.pipeline.batch_size)
    ]
    features = [part.features for part in parts if part.features is not None]
    return FaceBatch(
        crops,
        np.concatenate([part.logits for part in parts]),
        np.concatenate(features) if features else None,
    )


def explain_crops(
    recognizer: EmotionRecognizer,
    crops: NDArray[np.uint8],
    *,
    label: str | NDArray[np.int64] | None = None,
    method: str | None = None,
) -> NDArray[np.float32]:
    """Says which places of ready faces speak for a label.

    Args:
        recognizer: The model.
        crops: uint8 (N, S, S, C), of the model's own size.
        label: A label of the recognizer's schema; positions (N,) among its labels; or None for
            each face's top one.
        method: A name of :data:`METHODS`; None: see :func:`choose_method`.

    Returns:
        float32 (N, S, S) in 0..1, each with maximum 1 unless nothing speaks for the label.

    Raises:
        ConfigError: If the label or method is unknown.
        InputError: If the crops have another shape.
        ModelError: If the method does not fit the network.
        MissingExtraError: If the method needs an extra.

    >>> from mien import EmotionRecognizer
    >>> maps = explain_crops(EmotionRecognizer(), np.zeros((1, 48, 48, 1), np.uint8), label="fear")
    >>> maps.shape
    (1, 48, 48)
    """
    if method is not None:
        method_spec(method)
    if isinstance(label, str) and label not in recognizer.pipeline.schema:
        label_columns(np.ones((0, 1)), label, recognizer.pipeline.schema)
    size = recognizer.config.preprocessing.size
    batch = run_batch(recognizer, crops)
    if not len(crops):
        return np.zeros((0, size, size), np.float32)
    if isinstance(label, np.ndarray):
        columns = label.astype(np.int64)
        known = np.isin(columns, np.arange(len(recognizer.pipeline.schema)))
        if columns.shape != (len(crops),) or not known.all():
            raise ConfigError(f"expected a label's position for each of {len(crops)} faces.")
    else:
        columns = label_columns(
            recognizer.pipeline.probs(batch.logits), label, recognizer.pipeline.schema
        )
    run = choose_method(recognizer, batch, method).run
    return resize_maps(run(recognizer, batch, columns), size)
