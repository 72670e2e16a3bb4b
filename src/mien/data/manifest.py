"""The one form that every dataset takes: per picture a target, a split and a group."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.image_stores import ImageStore, SelectedImages
from mien.data.split import SPLIT_NAMES, SPLITS
from mien.errors import DataError, import_extra, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import ArrayLike

    from mien.arrays import F32, I64, Bools, Texts
    from mien.labels import LabelSchema


#: The arrays of a manifest.
_TYPES: dict[str, type[np.generic]] = {
    "targets": np.float32, "class_ids": np.int64, "splits": np.str_, "leaked": np.bool_,
    "groups": np.str_, "sources": np.str_,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Manifest:
    """A dataset of N pictures over K labels.

    Args:
        source: The spec it was read from.
        schema: Its K labels.
        images: The N pictures.
        targets: (N, K) float32, rows sum to 1: shares of votes, or one-hot.
        class_ids: (N,) int64 in 0..K-1, or -1 where no label has a majority.
        splits: (N,) of ``"train"``, ``"valid"``, ``"test"``.
        groups: (N,) subject or source picture, or None where nothing is known.
        leaked: (N,) bool, True for a valid or test picture of which a byte-identical copy stands
            in train, or stood there before it was removed.
        warnings: What a person should know about the data, a sentence each.
        sources: (N,) name of the dataset that each picture is of, or None where there is one.
        on_error: What a picture that cannot be read does: ``continue``, it is left out and
            counted; ``stop``, it is an error.

    Raises:
        DataError: If the fields do not fit each other.

    >>> from pathlib import Path
    >>> from mien.data.image_stores import FileImages
    >>> from mien.labels import HES3
    >>> manifest = Manifest(
    ...     "by hand", HES3, FileImages(Path("faces"), ("a.png", "b.png")),
    ...     targets=np.float32([[1, 0, 0], [0, 0.5, 0.5]]), class_ids=np.array([0, -1]),
    ...     splits=np.array(["train", "valid"]), groups=None, leaked=np.array([False, False]),
    ... )
    >>> len(manifest), manifest.with_labels().counts()
    (2, {'train': {'angry': 1, 'happy': 0, 'sad': 0}})
    """

    source: str
    schema: LabelSchema
    images: ImageStore
    targets: F32
    class_ids: I64
    splits: Texts
    groups: Texts | None
    leaked: Bools
    warnings: tuple[str, ...] = ()
    sources: Texts | None = None
    on_error: str = "continue"

    def __post_init__(self) -> None:
        N, K = len(self.images), len(self.schema)
        if N == 0:
            raise self._error("holds no pictures")
        for name, dtype in _TYPES.items():
            if getattr(self, name) is None and name in ("groups", "sources"):
                continue
            array = np.asarray(getattr(self, name), dtype=dtype)
            shape = (N, K) if name == "targets" else (N,)
            if array.shape != shape:
                reason = f"must have shape {shape} for {N} pictures and {K} labels"
                raise self._error(f"{reason}, got {array.shape}", what=name)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "warnings", tuple(self.warnings))
        self._check_values()

    def _error(self, reason: str, hint: str = "", what: str = "") -> DataError:
        subject = f"{what} of {self.source}" if what else self.source
        return DataError(reason, subject=subject, hint=hint)

    def _check_values(self) -> None:
        sums = self.targets.sum(axis=1, dtype=np.float64)
        # A NaN fails every comparison, so it is counted as bad here too.
        bad = ~((self.targets >= 0).all(axis=1) & (np.abs(sums - 1.0) <= 1e-3))
        if bad.any():
            row = int(np.argmax(bad))
            raise self._error(
                f"must be finite shares of 0 or more that sum to 1; {int(bad.sum())} row(s) are "
                f"not, first {self.images.key(row)}: {self.targets[row].tolist()}",
                what="targets",
            )
        low, high = int(self.class_ids.min()), int(self.class_ids.max())
        if low < -1 or high >= len(self.schema):
            reason = f"must lie in -1..{len(self.schema) - 1}, got {low}..{high}"
            raise self._error(reason, what="class_ids")
        unknown = sorted(set(self.splits.tolist()) - set(SPLITS))
        if unknown:
            raise self._error(f"must be of {SPLITS}, got {unknown}", what="splits")
        if (self.leaked & (self.splits == "train")).any():
            raise self._error("can hold valid and test pictures only", what="leaked")

    def __len__(self) -> int:
        return len(self.images)

    def select(self, which: ArrayLike) -> Manifest:
        """Returns some of the pictures, in the order given.

        Args:
            which: (N,) bool mask, or (M,) int positions in 0..N-1.

        Raises:
            DataError: If the mask has another length, a position is out of range, or nothing is
                left.
        """
        chosen = np.asarray(which)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            indices = np.flatnonzero(chosen)
        elif chosen.ndim == 1 and np.issubdtype(chosen.dtype, np.integer):
            indices = chosen.astype(np.int64)
        else:
            reason = f"must be a bool mask of shape ({len(self)},) or a list of positions"
            given = f"{chosen.dtype} of shape {chosen.shape}"
            raise self._error(f"{reason}, got {given}", what="a selection")
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(self)):
            given = f"{indices.min()}..{indices.max()}"
            raise self._error(f"must lie in 0..{len(self) - 1}, got {given}", what="positions")
        arrays: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None else values[indices]
            for name in _TYPES
        }
        return dataclasses.replace(self, images=SelectedImages(self.images, indices), **arrays)

    def split(self, name: str) -> Manifest:
        """Returns one split: ``train``, ``valid`` or ``test``, or an alias such as ``val``.

        Raises:
            DataError: If there is no such split, or it is empty; the splits are named.
        """
        mask = self.splits == SPLIT_NAMES.get(name.strip().lower(), "")
        if not mask.any():
            have = {split: int((self.splits == split).sum()) for split in SPLITS}
            listed = ", ".join(f"{split} ({count})" for split, count in have.items() if count)
            hint = "" if name in SPLIT_NAMES else suggest(name, SPLIT_NAMES)
            raise self._error(f"has no split {name!r}; it has {listed}", hint)
        return self.select(mask)

    def with_labels(self) -> Manifest:
        """Returns the pictures that have a hard label (``class_ids`` of 0 or more).

        Raises:
            DataError: If none has.
        """
        return self.select(self.class_ids >= 0)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns pictures by split and label, zeros included, without those of no majority.

        Only splits that hold pictures are listed, in the order train, valid, test.
        """
        table: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            inside = self.splits == split
            if inside.any():
                ids = self.class_ids[inside]
                found = np.bincount(ids[ids >= 0], minlength=len(self.schema))
                table[split] = dict(zip(self.schema.labels, found.tolist(), strict=True))
        return table

    def to_pandas(self) -> pd.DataFrame:
        """Returns a pandas table with a row per picture.

        Columns: ``key``, ``label`` (None without a majority), ``split``, ``group``, ``leaked``,
        ``source`` where there are several datasets, and ``p_LABEL``, the shares of votes.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        pandas = import_extra("pandas", "a pandas table", "pandas")
        names = np.array([*self.schema.labels, None], dtype=object)
        columns: dict[str, Any] = {
            "key": [self.images.key(index) for index in range(len(self))],
            # As an array, pandas 3 takes it for a column of text, whose None is a NaN.
            "label": pandas.Series(names[self.class_ids], dtype=object),
            "split": self.splits,
            "group": self.groups,
            "leaked": self.leaked,
        }
        columns |= {} if self.sources is None else {"source": self.sources}
        columns |= {f"p_{name}": self.targets[:, k] for k, name in enumerate(self.schema.labels)}
        return pandas.DataFrame(columns)

    def to_torch(
        self, transform: Callable[[Any], Any] | None = None, *, votes: bool = False
    ) -> TorchFaces:
        """Returns a map-style dataset for PyTorch's ``DataLoader``.

        Its items are ``(image, class_id)``: uint8 (3, H, W), RGB, of the picture's own size, and
        an int, -1 without a majority.

        Args:
            transform: Changes each picture, for example one of torchvision's.
            votes: Return the distribution over the labels, float32 (K,), in place of the class.

        Raises:
            MissingExtraError: If torch is not installed.
        """
        import_extra("torch", "a PyTorch dataset", "train")
        return TorchFaces(self, transform, votes)

    def fingerprint(self) -> str:
        """Returns a sha256 (hex) of labels, keys, targets, splits and sources; no pixels are read.

        Two manifests with the same fingerprint list the same pictures with the same targets in
        the same order, wherever they lie.
        """
        digest = hashlib.sha256()
        listed = (self.schema.labels, map(self.images.key, range(len(self))), self.splits)
        for names in (*listed, *([] if self.sources is None else [self.sources])):
            digest.update("\0".join(names).encode("utf-8", "surrogateescape") + b"\0\0")
        digest.update(np.ascontiguousarray(self.targets, dtype="<f4").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TorchFaces:
    """A manifest as a map-style dataset of PyTorch; it can be pickled into workers.

    ``transform`` changes each picture, uint8 (3, H, W); ``votes`` are returned in place of the
    class.
    """

    manifest: Manifest
    transform: Callable[[Any], Any] | None = None
    votes: bool = False

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Returns a picture and its class, or its distribution, float32 (K,)."""
        import torch

        from mien.images import decode

        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        image_rgb = decode(self.manifest.images.read(index))
        image = torch.from_numpy(image_rgb).permute(2, 0, 1).contiguous()
        if self.transform is not None:
            image = self.transform(image)
        if self.votes:
            return image, torch.from_numpy(self.manifest.targets[index].copy())
        return image, int(self.manifest.class_ids[index])
