"""Class-activation maps in numpy, and the last linear layer that they need.

For a network that ends in global average pooling and one linear layer, the map of class k is
``sum_f W[k, f] * features[f]`` (Zhou et al. 2016, https://arxiv.org/abs/1512.04150). Up to a
positive factor that is also what Grad-CAM and HiRes-CAM give there, since the gradient of a logit
with respect to the features is ``W[k, f] / (h * w)`` at every place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.errors import ConfigError, InputError, ModelError, suggest
from mien.hub import WEIGHTS, ModelConfig, ModelFolder
from mien.labels import LabelSchema, mapping_matrix

if TYPE_CHECKING:
    from mien.arrays import F32, F64, I64, Floats


_OTHERS = (
    "the network does not end in average pooling and one linear layer, so that cam cannot explain "
    "it. Type --method gradcam, gradcam++, hirescam, eigencam or scorecam (with the train extra), "
    "or --method occlusion."
)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A linear layer: ``logits = weight @ pooled + bias``.

    Args:
        weight: float32 (K, F).
        bias: float32 (K,).
    """

    weight: F32
    bias: F32


_KEPT: dict[tuple[object, ...], Classifier] = {}


def read_classifier(folder: ModelFolder) -> Classifier:
    """Reads the last linear layer's weights from ``model.safetensors``.

    The file is checked against the folder's sha256 and only two tensors of it are read; the
    result is kept for the next call where the sha256 is known.

    Raises:
        ModelError: If the file is missing, damaged, or holds no such layer.

    >>> from mien.hub import read_model_folder
    >>> read_classifier(read_model_folder()).weight.shape
    (8, 240)
    """
    config = folder.config
    sha256 = config.files.get(WEIGHTS, {}).get("sha256")
    key = (folder.path, sha256, config.classifier, len(config.schema))
    found = _KEPT.get(key) if sha256 else None  # without it nothing says when the file changes
    if found is None:
        if len(_KEPT) >= 8:
            _KEPT.clear()
        found = _KEPT[key] = _read(folder)
    return found


def _read(folder: ModelFolder) -> Classifier:
    from safetensors import SafetensorError, safe_open

    file, name, classes = folder.file(WEIGHTS), folder.config.classifier, len(folder.config.schema)
    try:
        with safe_open(file, framework="numpy") as tensors:
            names = set(tensors.keys())
            if f"{name}.weight" not in names:
                reason = f"has no weights of a last linear layer {name!r}"
                hint = "Set pretrained_cfg.classifier in config.json to its name."
                raise ModelError(reason, subject=file, hint=hint)
            weight = tensors.get_tensor(f"{name}.weight")
            bias = tensors.get_tensor(f"{name}.bias") if f"{name}.bias" in names else None
    except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:
        raise ModelError(f"is no readable safetensors file: {error}", subject=file) from error
    bias = np.zeros(len(weight), np.float32) if bias is None else bias
    if weight.ndim != 2 or len(weight) != classes or bias.shape != (classes,):
        raise ModelError(
            f"{name} has a weight {weight.shape} and a bias {bias.shape}; a linear layer of "
            f"{classes} classes has ({classes}, F) and ({classes},)",
            subject=f"{file}:",
        )
    return Classifier(weight.astype(np.float32), bias.astype(np.float32))


def label_columns(probs: F64, label: str | I64 | None, schema: LabelSchema) -> I64:
    """Returns which of the L labels to explain of each of N faces: positions (N,).

    ``probs`` (N, L) is the answer; the label is one of the schema or an alias, or (N,) positions.
    Without one it is the most probable.
    """
    if label is None:
        top: I64 = probs.argmax(axis=1)
        return top
    if isinstance(label, str):
        if label not in schema:
            hint = suggest(label, schema.labels)
            raise ConfigError(f"no label {label!r} in {schema.name!r}." + hint)
        return np.full(len(probs), schema.index(label), np.int64)
    columns = label.astype(np.int64)
    if columns.shape != probs.shape[:1] or not np.isin(columns, range(len(schema))).all():
        raise ConfigError(f"expected a label's position for each of {len(probs)} faces.")
    return columns


def class_coefficients(logits: F32, columns: I64, config: ModelConfig, schema: LabelSchema) -> F64:
    """Returns how much each class of the model stands behind a label, for each face.

    Where the answer's schema is the model's own, that is 1 for the class and 0 elsewhere. Where
    several classes become one label, each counts by its share of the label's probability: the
    gradient of the label's log-sum-exp.

    Args:
        logits: (N, K).
        columns: (N,), a label of ``schema`` for each face.
        config: The model's config: its schema and temperature.
        schema: Schema of the answer, with L labels.

    Returns:
        float64 (N, K), rows sum to 1, or to 0 for a label that no class of the model becomes.

    >>> from mien.hub import read_model_folder
    >>> config = read_model_folder().config
    >>> class_coefficients(np.zeros((1, 8)), np.array([6]), config, config.schema).argmax().item()
    6
    """
    same = schema == config.schema
    matrix = np.eye(len(schema)) if same else mapping_matrix(config.schema, schema)
    # A class of almost no probability still gets its full share where it is the only one.
    probs = np.maximum(config.calibrated(logits), 1e-30)
    shares = probs * matrix.T[columns]
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total > 0, total, 1.0)


def logits_follow(features: F32, classifier: Classifier, logits: F32) -> bool:
    """Says whether logits (N, K) follow from features (N, F, h, w) by pooling and a linear layer.

    >>> layer = Classifier(np.float32([[1.0, -1.0]]), np.float32([0.0]))
    >>> logits_follow(np.float32([[[[2.0]], [[0.5]]]]), layer, np.float32([[1.5]]))
    True
    """
    if features.ndim != 4 or features.shape[1] != classifier.weight.shape[1]:
        return False
    again = features.mean(axis=(2, 3)) @ classifier.weight.T + classifier.bias
    return bool(np.allclose(again, logits, rtol=1e-2, atol=2e-2))


def activation_maps(
    features: F32, classifier: Classifier, coefficients: F64, logits: F32 | None = None
) -> F32:
    """Returns class-activation maps, cut off below 0.

    Args:
        features: float32 (N, F, h, w), the last feature map.
        classifier: The last linear layer, (K, F).
        coefficients: (N, K), see :func:`class_coefficients`.
        logits: (N, K) of the same faces; where given, they must follow from the features by
            pooling and the linear layer.

    Returns:
        float32 (N, h, w), in logits by place: their mean over places plus the bias is the logit,
        before the cut.

    Raises:
        ModelError: If the shapes or the logits do not fit: the network ends in another way.

    >>> layer = Classifier(np.float32([[1.0, -1.0]]), np.float32([0.0]))
    >>> activation_maps(np.float32([[[[2.0]], [[0.5]]]]), layer, np.ones((1, 1))).tolist()
    [[[1.5]]]
    """
    if features.ndim != 4 or features.shape[1] != classifier.weight.shape[1]:
        raise ModelError(
            f"the feature map {features.shape} does not fit a linear layer of "
            f"{classifier.weight.shape[1]} features: {_OTHERS}"
        )
    if logits is not None and not logits_follow(features, classifier, logits):
        raise ModelError(f"the logits do not follow from the feature map: {_OTHERS}")
    weights = (coefficients @ classifier.weight).astype(np.float32)
    N, F, h, w = features.shape
    raw = np.matmul(weights[:, None, :], features.reshape(N, F, h * w)).reshape(N, h, w)
    maps: F32 = np.maximum(raw, np.float32(0))
    return maps


def resize_maps(maps: Floats, size: int) -> F32:
    """Scales maps (N, h, w) to (N, size, size), bilinear, and each to 0..1 by its maximum.

    A map without anything above 0 stays 0 everywhere.

    Raises:
        InputError: If the maps are not (N, h, w) or not finite.

    >>> resize_maps(np.array([[[0.0, 4.0]]]), 2).tolist()
    [[[0.0, 1.0], [0.0, 1.0]]]
    """
    if maps.ndim != 3 or not maps.shape[1] * maps.shape[2] or not np.isfinite(maps).all():
        raise InputError(f"expected finite maps (N, h, w); got {maps.shape}.")
    out = np.empty((len(maps), size, size), np.float32)
    for index, one in enumerate(maps):
        picture = Image.fromarray(one.astype(np.float32))
        out[index] = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    np.maximum(out, 0.0, out=out)
    peak = out.max(axis=(1, 2), keepdims=True)
    out /= np.where(peak > 0, peak, np.float32(1))
    return out
