"""The ways to explain a face, by name: a decorator and a dict; those that need no torch."""

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
    read_classifier,
    resize_maps,
)
from mien.hub import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.arrays import F32, I64, U8
    from mien.recognizer import EmotionRecognizer


@dataclass(frozen=True, eq=False)
class FaceBatch:
    """N faces as the network saw them.

    Args:
        crops: uint8 (N, S, S, C).
        logits: float32 (N, K).
        features: float32 (N, F, h, w), or None where the network offers none.
    """

    crops: U8
    logits: F32
    features: F32 | None


class Method(Protocol):
    """Maps of N faces: float (N, h, w), 0 and above, on any scale."""

    def __call__(self, recognizer: EmotionRecognizer, batch: FaceBatch, columns: I64) -> F32:
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
    """Returns the method of a name; a ConfigError lists the closest ones."""
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
    folder, features = recognizer.folder, batch.features
    if features is not None and logits_follow(features, read_classifier(folder), batch.logits):
        return METHODS["cam"]
    installed = all(importlib.util.find_spec(package) for package in ("torch", "pytorch_grad_cam"))
    if not (installed and (folder.path / WEIGHTS).is_file()):
        return METHODS["occlusion"]
    from mien.models import model_spec

    return METHODS["rollout" if model_spec(recognizer.config.architecture).attends else "gradcam"]


@register_method("cam", summary="class-activation map from the ONNX features; no torch")
def class_activation(recognizer: EmotionRecognizer, batch: FaceBatch, columns: I64) -> F32:
    """Class-activation maps of the label at ``columns`` (N,): float32 (N, h, w)."""
    if batch.features is None:
        raise ModelError(
            "offers no features: export it again, or type --method gradcam (with the train "
            "extra) or --method occlusion",
            subject=recognizer.config.name,
        )
    coefficients = class_coefficients(
        batch.logits, columns, recognizer.config, recognizer.pipeline.schema
    )
    classifier = read_classifier(recognizer.folder)
    return activation_maps(batch.features, classifier, coefficients, batch.logits)


@register_method("occlusion", summary="how much covering a place lowers the label; no torch")
def occlusion(recognizer: EmotionRecognizer, batch: FaceBatch, columns: I64) -> F32:
    """By how much log p(label) falls on average when a patch covers a pixel: (N, S, S).

    The patch has the mean grey of the face (Zeiler and Fergus 2014,
    https://arxiv.org/abs/1311.2901); the map is 0 where the probability rises.
    """
    size = batch.crops.shape[1]
    # Side and step of the patch: a quarter and a twelfth of the face's side.
    patch, step = max(round(size / 4), 1), max(round(size / 12), 1)
    starts = sorted({*range(0, size - patch, step), size - patch})
    places = [(slice(y, y + patch), slice(x, x + patch)) for y in starts for x in starts]
    before = np.log(np.maximum(recognizer.pipeline.probs(batch.logits), 1e-12))
    maps = np.zeros((len(columns), size, size))
    covered = np.zeros((size, size))
    for rows, cols in places:
        covered[rows, cols] += 1
    for index, column in enumerate(columns):
        crop = batch.crops[index]
        hidden = np.repeat(crop[None], len(places), axis=0)
        fill = crop.mean(axis=(0, 1)).round().astype(np.uint8)
        for place, (rows, cols) in enumerate(places):
            hidden[place, rows, cols] = fill
        after = recognizer.pipeline.probs(recognizer.pipeline.logits(hidden))[:, column]
        drop = before[index, column] - np.log(np.maximum(after, 1e-12))
        for value, (rows, cols) in zip(drop, places, strict=True):
            maps[index, rows, cols] += value
    return np.maximum(maps / covered, 0.0).astype(np.float32)


def run_batch(recognizer: EmotionRecognizer, crops: U8) -> FaceBatch:
    """Runs the network once over crops of its own size, uint8 (N, S, S, C), keeping features."""
    p, pipeline = recognizer.config.preprocessing, recognizer.pipeline
    if crops.dtype != np.uint8 or crops.shape[1:] != (p.size, p.size, p.channels):
        raise InputError(
            f"expected uint8 crops (N, {p.size}, {p.size}, {p.channels}); got {crops.dtype} "
            f"{crops.shape}."
        )
    parts = list(pipeline.outputs(crops, features=True))
    none = np.zeros((0, len(recognizer.config.schema)), np.float32)
    features = [part.features for part in parts if part.features is not None]
    return FaceBatch(
        crops,
        np.concatenate([none, *(part.logits for part in parts)]),
        np.concatenate(features) if features else None,
    )


def batch_maps(
    recognizer: EmotionRecognizer,
    batch: FaceBatch,
    label: str | I64 | None = None,
    method: str | None = None,
) -> F32:
    """Explains faces that the network was run on: (N, h, w), on the method's own scale."""
    pipeline = recognizer.pipeline
    columns = label_columns(pipeline.probs(batch.logits), label, pipeline.schema)
    spec = method_spec(method) if method else None
    if not len(columns):
        return np.zeros((0, 1, 1), np.float32)
    return (spec or choose_method(recognizer, batch)).run(recognizer, batch, columns)


def explain_crops(
    recognizer: EmotionRecognizer,
    crops: U8,
    *,
    label: str | I64 | None = None,
    method: str | None = None,
) -> F32:
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
    maps = batch_maps(recognizer, run_batch(recognizer, crops), label, method)
    return resize_maps(maps, recognizer.config.preprocessing.size)
