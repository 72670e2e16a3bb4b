"""Class-activation maps in numpy.

For a network that ends in global average pooling and one linear layer, the map of class k is
``sum_f W[k, f] * features[f]`` (Zhou et al. 2016, https://arxiv.org/abs/1512.04150). Up to a
positive factor that is also what Grad-CAM and HiRes-CAM give there, since the gradient of a logit
with respect to the features is ``W[k, f] / (h * w)`` at every place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import ConfigError, InputError, ModelError, suggest
from mien.labels import mapping_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.explanation.classifier import Classifier
    from mien.hub import ModelConfig
    from mien.labels import LabelSchema

_OTHERS = (
    "the network does not end in average pooling and one linear layer, so that cam cannot explain "
    "it. Type --method gradcam, gradcam++, hirescam, eigencam or scorecam (with the train extra), "
    "or --method occlusion."
)


def label_columns(
    probs: NDArray[np.float64], label: str | None, schema: LabelSchema
) -> NDArray[np.int64]:
    """Returns which label to explain of each face.

    Args:
        probs: (N, L), the answer.
        label: A label of ``schema`` or an alias; None: each face's most probable one.
        schema: Schema of the answer.

    Returns:
        int64 (N,), positions among the L labels.

    Raises:
        ConfigError: If the schema has no such label.

    >>> from mien.labels import HES3
    >>> label_columns(np.array([[0.1, 0.8, 0.1]]), None, HES3).tolist()
    [1]
    """
    if label is None:
        top: NDArray[np.int64] = probs.argmax(axis=1)
        return top
    if label not in schema:
        raise ConfigError(f"no label {label!r} in {schema.name!r}." + suggest(label, schema.labels))
    return np.full(len(probs), schema.index(label), np.int64)


def class_coefficients(
    logits: NDArray[np.float32],
    columns: NDArray[np.int64],
    config: ModelConfig,
    schema: LabelSchema,
) -> NDArray[np.float64]:
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
    matrix = np.eye(len(schema))
    if schema != config.schema:
        matrix = mapping_matrix(config.schema, schema)
    # A class of almost no probability still gets its full share where it is the only one.
    probs = np.maximum(config.calibrated(logits), 1e-30)
    shares = probs * matrix.T[columns]
    total = shares.sum(axis=1, keepdims=True)
    coefficients: NDArray[np.float64] = shares / np.where(total > 0, total, 1.0)
    return coefficients


def logits_follow(
    features: NDArray[np.float32], classifier: Classifier, logits: NDArray[np.float32]
) -> bool:
    """Says whether logits follow from a feature map by average pooling and a linear layer.

    Args:
        features: float32 (N, F, h, w).
        classifier: The last linear layer, (K, F) if it is that of the feature map.
        logits: float32 (N, K) of the same faces.

    >>> from mien.explanation.classifier import Classifier
    >>> layer = Classifier(np.float32([[1.0, -1.0]]), np.float32([0.0]))
    >>> logits_follow(np.float32([[[[2.0]], [[0.5]]]]), layer, np.float32([[1.5]]))
    True
    """
    if features.ndim != 4 or features.shape[1] != classifier.weight.shape[1]:
        return False
    again = features.mean(axis=(2, 3)) @ classifier.weight.T + classifier.bias
    return bool(np.allclose(again, logits, rtol=1e-2, atol=2e-2))


def activation_maps(
    features: NDArray[np.float32],
    classifier: Classifier,
    coefficients: NDArray[np.float64],
    logits: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
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

    >>> from mien.explanation.classifier import Classifier
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
    maps: NDArray[np.float32] = np.maximum(raw, np.float32(0))
    return maps


def resize_maps(maps: NDArray[np.floating[Any]], size: int) -> NDArray[np.float32]:
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
        resized = Image.fromarray(one.astype(np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        out[index] = np.maximum(np.asarray(resized), 0.0)
    peak = out.max(axis=(1, 2), keepdims=True)
    out /= np.where(peak > 0, peak, np.float32(1))
    return out
