"""A manifest for other libraries: a table for pandas, a dataset for PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MissingExtraError
from mien.images import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from mien.data.manifest import Manifest


def to_pandas(manifest: Manifest) -> pd.DataFrame:
    """Returns the table of :meth:`mien.data.Manifest.to_pandas`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("a pandas table", "pandas", error.name) from error
    names = np.array([*manifest.schema.labels, None], dtype=object)
    columns: dict[str, Any] = {
        "key": [manifest.images.key(index) for index in range(len(manifest))],
        "label": names[manifest.class_ids],
        "split": manifest.splits,
        "group": None if manifest.groups is None else manifest.groups,
        "leaked": manifest.leaked,
    }
    for k, label in enumerate(manifest.schema.labels):
        columns[f"p_{label}"] = manifest.targets[:, k]
    return pd.DataFrame(columns)


@dataclass(frozen=True, eq=False)
class TorchFaces:
    """A manifest as a map-style dataset of PyTorch; it can be pickled into workers.

    Args:
        manifest: The N pictures.
        transform: Changes each picture, uint8 (3, H, W), before it is returned.
        votes: Return the distribution over the labels in place of the class.
    """

    manifest: Manifest
    transform: Callable[[Any], Any] | None = None
    votes: bool = False

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Returns a picture and its class, or its distribution, float32 (K,).

        Raises:
            IndexError: If there is no such picture.
            InputError: If it cannot be decoded.
        """
        import torch

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


def to_torch(
    manifest: Manifest, transform: Callable[[Any], Any] | None = None, *, votes: bool = False
) -> TorchFaces:
    """Returns the dataset of :meth:`mien.data.Manifest.to_torch`."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a PyTorch dataset", "train", error.name) from error
    return TorchFaces(manifest, transform, votes)
