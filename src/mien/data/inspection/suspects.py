"""Pictures without a face, and labels that a classifier trained on the others contradicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.faces import in_threads, load_faces
from mien.data.inspection.finding import Finding, found
from mien.detectors.protocol import MIN_FACE, run_detector
from mien.errors import MienError, needs_extra
from mien.images import decode
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.arrays import F32, F64, I64, Bools
    from mien.data.image_stores import ImageStore
    from mien.data.manifest import Manifest
    from mien.detectors import Detector

_BATCH = 64
_FOLDS = 5
_SEARCH = "the search for suspicious labels"


def faceless(
    manifest: Manifest,
    readable: Bools,
    detector: Detector,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """Returns the readable pictures in which a detector finds no face, or on which it fails."""
    at = np.flatnonzero(readable).tolist()

    def search(part: range) -> list[tuple[int, str]]:
        lines = {at[i]: _search(manifest.images, at[i], detector) for i in part}
        return [(index, line) for index, line in lines.items() if line]

    parts = in_threads(search, len(at), workers=workers, progress=progress, size=4)
    cases = dict(case for part in parts for case in part)
    words, rest = ("picture", "pictures"), f"in which {detector.name!r} finds no face"
    return found("no_face", words, rest, ((index,) for index in cases), cases.values())


def _search(images: ImageStore, index: int, detector: Detector) -> str:
    """Returns why there is no face in a picture, empty where there is one."""
    try:
        image_rgb = decode(images.read(index))
        side = max(image_rgb.shape[0] // 4, image_rgb.shape[1] // 4, 8)
        # Room around a tight crop, for detectors expect a face to have a background.
        margin = ((side, side), (side, side), (0, 0))
        padded = np.pad(image_rgb, margin, mode="edge")
        faces = run_detector(detector, padded, min_face=MIN_FACE, max_faces=None)
        return "" if len(faces) else "no face"
    except MienError as error:
        return f"not searched: {error.reason}"


def face_features(
    manifest: Manifest,
    model: str | None = None,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> F32:
    """Returns what a network sees in each face: float32 (N, F), its last feature map averaged.

    A network without such an output gives its logits; ``model`` is a model folder or bundled name.
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
    manifest: Manifest, features: F32, groups: I64, *, seed: int = 0
) -> list[Finding]:
    """Returns labels that out-of-fold predictions contradict, the least likely first.

    A logistic regression on features, float32 (N, F), is trained on four fifths of the pictures and
    predicts the rest, pictures of one group kept on one side; confident learning (Northcutt, Jiang
    and Chuang, 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels") then tells
    which labels are likely errors. It is a list to go through, not a verdict.
    """
    counts = np.bincount(manifest.class_ids[manifest.class_ids >= 0])
    common = np.flatnonzero(counts >= _FOLDS)
    chosen = np.flatnonzero(np.isin(manifest.class_ids, common))
    labels = manifest.class_ids[chosen]
    classes, inside = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return []
    probs = _out_of_fold(features[chosen], inside, groups[chosen], seed)
    with needs_extra(_SEARCH, "eval"):
        from cleanlab.filter import find_label_issues
    ranked: Any = find_label_issues(
        inside, probs, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    lines = (
        f"{manifest.schema.labels[labels[i]]} (p = {probs[i, inside[i]]:.2f}), perhaps "
        f"{manifest.schema.labels[classes[probs[i].argmax()]]} (p = {probs[i].max():.2f})"
        for i in ranked
    )
    words, rest = ("label looks", "labels look"), "wrong to a classifier that did not see it"
    return found("suspicious_label", words, rest, ((int(chosen[i]),) for i in ranked), lines)


def _out_of_fold(features: F32, labels: I64, groups: I64, seed: int) -> F64:
    """Returns (N, K) probabilities, each by a classifier that did not see the picture."""
    with needs_extra(_SEARCH, "eval"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold
        from sklearn.preprocessing import StandardScaler
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
    return np.asarray(probs / probs.sum(axis=1, keepdims=True))
