"""What :mod:`mutation` tries: modules and their tests, deliberate faults, changes that are none."""

from __future__ import annotations

from typing import NamedTuple


class Area(NamedTuple):
    """Files below ``src/mien``, and below ``tests/unit`` what is to notice a fault in them."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = (
    Area("labels", ("labels.py",), ("test_labels.py",)),
    Area("preprocess", ("preprocess.py",), ("test_preprocess_exact.py", "test_preprocess.py")),
    Area(
        "boxes",
        ("detectors/boxes.py",),
        ("detectors/test_boxes.py", "detectors/test_detections.py"),
    ),
    Area("conformal", ("conformal.py",), ("test_conformal.py",)),
    Area("quality", ("quality.py",), ("test_conformal.py",)),
    Area(
        "split",
        ("data/split.py",),
        ("data/test_split_exact.py", "data/test_split.py", "data/test_joined.py"),
    ),
    Area(
        "smoothing",
        ("video/smoothing.py",),
        ("video/test_smoothing.py", "video/test_tracking.py"),
    ),
    Area(
        "tracker",
        ("video/tracker.py",),
        ("video/test_tracker_exact.py", "video/test_tracking.py"),
    ),
    Area("metrics", ("metrics.py",), ("test_metrics_exact.py", "test_metrics.py")),
    Area("batcher", ("serve/batcher.py",), ("serve/test_batcher.py",)),
    Area(
        "manifest",
        ("data/manifest.py",),
        (
            *("data/test_manifest.py", "data/test_manifest_exact.py"),
            "../integration/data/test_manifest_exact.py",
        ),
    ),
    Area(
        "recipe",
        ("config.py", "training/config.py"),
        ("training/test_recipe.py", "training/test_config.py"),
    ),
)

#: One deliberate fault in each: file, text, and what replaces it.
FAULTS = {
    # A label that the target lacks takes its mass away.
    "labels": ("labels.py", "mapped / np.maximum(total, 1e-9)", "mapped"),
    # A tilted face is turned further.
    "preprocess": ("preprocess.py", "around.rotate(angle,", "around.rotate(-angle,"),
    # The least confident box of a face stays.
    "boxes": (
        "detectors/boxes.py",
        "np.argsort(-np.asarray(scores)",
        "np.argsort(np.asarray(scores)",
    ),
    # The quantile of N, not of N + 1.
    "conformal": ("conformal.py", "(len(values) + 1)", "len(values)"),
    # Good faces get the flags.
    "quality": ("quality.py", "values < bound", "values > bound"),
    # A group counts as one face.
    "split": ("data/split.py", "lacking[split][k] -= n", "lacking[split][k] -= 1"),
    # Old frames weigh too much in the error.
    "smoothing": ("video/smoothing.py", "self._pairs * decay**2", "self._pairs * decay"),
    # A face is confirmed one detection late.
    "tracker": ("video/tracker.py", "track.hits >= self.confirm", "track.hits > self.confirm"),
    # Bins are [low, high).
    "metrics": (
        "metrics.py",
        "np.ceil(confidence * bins).astype(np.int64) - 1",
        "np.floor(confidence * bins).astype(np.int64)",
    ),
    # The third request gets faces of the second.
    "batcher": ("serve/batcher.py", "first += len(crops)", "first = len(crops)"),
    # Pictures of a selection come in another order than their targets.
    "manifest": (
        "data/manifest.py",
        "SelectedImages(self.images, indices)",
        "SelectedImages(self.images, np.sort(indices))",
    ),
    # The file wins over the command line.
    "recipe": (
        "config.py",
        "values |= {name: value for name, value in given.items() if value is not None}",
        "values = {name: value for name, value in given.items() if value is not None} | values",
    ),
}

#: Changes that no test can notice: (file, line before, line after), and why.
EQUIVALENT = {
    (
        "labels.py",
        "_CONTEMPT = dict(zip(_SEVEN, (47, 27, 20, 3, 12, 2, 8), strict=True))",
        "_CONTEMPT = dict(zip(_SEVEN, (47, 27, 20, 3, 12, 2, 8), strict=False))",
    ): "both have seven entries",
    (
        "labels.py",
        "close = difflib.get_close_matches(fold_label(name), list(known), 1)",
        "close = difflib.get_close_matches(fold_label(name), list(known), 2)",
    ): "only the first is used",
    (
        "labels.py",
        "return hits[0] if len(hits) == 1 else None",
        "return hits[ -1] if len(hits) == 1 else None",
    ): "the first of one is the last",
    (
        "labels.py",
        "if self._spellings.setdefault(fold_label(spelling), class_id) != class_id or (",
        "if self._spellings.setdefault(fold_label(spelling), class_id) < class_id or (",
    ): "a spelling that is known belongs to a label before",
    (
        "quality.py",
        "for values, digits in zip(face_quality(crops), (2, 2, 4), strict=True)",
        "for values, digits in zip(face_quality(crops), (2, 2, 4), strict=False)",
    ): "both have three entries",
    (
        "detectors/boxes.py",
        "if inside < 1:",
        "if inside < 2:",
    ): "two boxes never share more than the smaller one's area",
    (
        "data/split.py",
        "if min(shares.values(), default=-1) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):",
        "if min(shares.values(), default=+1) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):",
    ): "no shares sum to 0, which is refused too",
    (
        "data/split.py",
        "if min(shares.values(), default=-1) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):",
        "if min(shares.values(), default=1) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):",
    ): "no shares sum to 0, which is refused too",
    (
        "data/split.py",
        "if min(shares.values(), default=-1) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):",
        "if min(shares.values(), default=- 2) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):",
    ): "no shares sum to 0, which is refused too",
    (
        "data/split.py",
        "rarity = np.where(counts > 0, totals, totals.max() + 1).min(axis=1)",
        "rarity = np.where(counts > 0, totals, totals.max() * 1).min(axis=1)",
    ): "each group holds a class, whose total is the largest one at most",
    (
        "data/split.py",
        "weight = (1.0 / totals).tolist()",
        "weight = ( 2.0 / totals).tolist()",
    ): "all needs are doubled; ties change only between shares less than 1e-9 apart",
    (
        "data/split.py",
        "spared = have[dealt[candidates]] - counts[candidates]",
        "spared = have[dealt[candidates]] ^ counts[candidates]",
    ): "both are above 0 where the split holds more than the group",
    (
        "data/split.py",
        "rarity = np.where(counts > 0, totals, totals.max() + 1).min(axis=1)",
        "rarity = np.where(counts > 0, totals, totals.max() + 0).min(axis=1)",
    ): "each group holds a class, whose total is the largest one at most",
    (
        "data/split.py",
        "np.add.at(counts, (rows, columns), 1)",
        "np.add.at(counts, (rows, columns), 2)",
    ): "all needs are doubled; ties change only between shares less than 1e-9 apart",
    (
        "metrics.py",
        "n = len(arrays[0])",
        "n = len(arrays[ -1])",
    ): "all arrays are of one length, which is checked before",
    (
        "metrics.py",
        "if len(set(lengths.values())) != 1:",
        "if len(set(lengths.values())) > 1:",
    ): "there is one array at least",
    (
        "data/manifest.py",
        "if chosen.dtype == np.bool_ and chosen.shape == (len(self),):",
        "if chosen.dtype <= np.bool_ and chosen.shape == (len(self),):",
    ): "no other type can be cast to bool",
}
