"""Pictures without a face, and labels that a classifier trained on the others contradicts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.faces import load_faces
from mien.data.inspection.finding import Finding
from mien.errors import MienError, MissingExtraError
from mien.images import decode
from mien.preprocess import normalize
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.data.manifest import Manifest
    from mien.detectors import Detector

_BATCH = 64
_FOLDS = 5


def faceless(
    manifest: Manifest,
    readable: NDArray[np.bool_],
    detector: Detector,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """Returns the pictures in which a detector finds no face.

    Args:
        manifest: N pictures.
        readable: (N,) bool, those that can be decoded.
        detector: Finds the faces; tight crops are hard for most.
        workers: Threads.
        progress: Called with the number of pictures just searched.
    """

    def has_face(index: int) -> bool:
        try:
            image_rgb = decode(manifest.images.read(index))
            side = max(image_rgb.shape[0] // 4, image_rgb.shape[1] // 4, 8)
            # Room around a tight crop, for detectors expect a face to have a background.
            margin = ((side, side), (side, side), (0, 0))
            return len(detector.detect(np.pad(image_rgb, margin, mode="edge"))) > 0
        except MienError:
            return True

    at = np.flatnonzero(readable).tolist()
    without = []
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for index, seen in zip(at, pool.map(has_face, at), strict=True):
            if not seen:
                without.append(index)
            if progress:
                progress(1)
    if not without:
        return []
    title = (
        counted(len(without), "picture", "pictures") + f" in which {detector.name!r} finds no face"
    )
    return [Finding("no_face", title, tuple((index,) for index in without))]


def face_features(
    manifest: Manifest,
    model: str | None = None,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Returns what a network sees in each face: float32 (N, F), its last feature map averaged.

    A network without such an output gives its logits.

    Args:
        manifest: N readable pictures, a face each.
        model: Model folder or bundled name.
        workers: Threads that decode.
        progress: Called with the number of faces just finished.

    Raises:
        DataError: If a picture cannot be read.
        ModelError: If the model cannot be loaded.
    """
    from mien.recognizer import EmotionRecognizer

    recognizer = EmotionRecognizer(model, detector="none", batch_size=_BATCH)
    preprocessing = recognizer.config.preprocessing
    faces = load_faces(manifest, preprocessing, workers=workers)
    parts = []
    for start in range(0, len(faces), _BATCH):
        batch = normalize(faces[start : start + _BATCH], preprocessing)
        out = recognizer.pipeline.backend.run(batch, features=True)
        parts.append(out.logits if out.features is None else out.features.mean(axis=(2, 3)))
        if progress:
            progress(len(batch))
    return np.concatenate(parts)


def suspicious_labels(
    manifest: Manifest,
    features: NDArray[np.float32],
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
) -> list[Finding]:
    """Returns labels that out-of-fold predictions contradict, the least likely first.

    A logistic regression on the features is trained on four fifths of the pictures and predicts
    the rest, copies kept on one side; confident learning (Northcutt, Jiang and Chuang,
    2021, "Confident Learning: Estimating Uncertainty in Dataset Labels") then tells which labels
    are likely errors. It is a list to go through, not a verdict.

    Args:
        manifest: N pictures; those without a majority are passed over.
        features: float32 (N, F).
        groups: (N,) pictures that must stay together.
        seed: Seed of the folds.

    Raises:
        MissingExtraError: If scikit-learn or cleanlab is not installed.
    """
    chosen = np.flatnonzero(manifest.class_ids >= 0)
    labels = manifest.class_ids[chosen]
    classes, inside = np.unique(labels, return_inverse=True)
    rare = np.bincount(inside) < _FOLDS
    keep = ~rare[inside]
    chosen, labels = chosen[keep], labels[keep]
    classes, inside = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return []
    probs = _out_of_fold(features[chosen], inside, groups[chosen], seed)
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise MissingExtraError("the search for suspicious labels", "eval", error.name) from error
    ranked: Any = find_label_issues(
        inside, probs, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    if not len(ranked):
        return []
    lines = tuple(
        f"{manifest.schema.labels[labels[i]]} (p = {probs[i, inside[i]]:.2f}), perhaps "
        f"{manifest.schema.labels[classes[probs[i].argmax()]]} (p = {probs[i].max():.2f})"
        for i in ranked
    )
    title = (
        counted(len(ranked), "label looks", "labels look")
        + " wrong to a classifier that did not see it"
    )
    cases = tuple((int(chosen[i]),) for i in ranked)
    return [Finding("suspicious_label", title, cases, lines)]


def _out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Returns (N, K) probabilities, each by a classifier that did not see the picture."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtraError("the search for suspicious labels", "eval", error.name) from error
    probs = np.full((len(labels), int(labels.max()) + 1), 1e-6)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for train, held in folds.split(features, labels, groups):
        scaler = StandardScaler().fit(features[train])
        model = LogisticRegression(C=0.05, tol=1e-3, max_iter=400)
        model.fit(scaler.transform(features[train]), labels[train])
        # A class may have all its groups in the held part.
        probs[held[:, None], model.classes_[None, :]] = model.predict_proba(
            scaler.transform(features[held])
        )
    scaled: NDArray[np.float64] = probs / probs.sum(axis=1, keepdims=True)
    return scaled


def picked(manifest: Manifest, readable: NDArray[np.bool_]) -> Manifest:
    """Returns the readable pictures, without warnings."""
    return replace(manifest.select(readable), warnings=())
