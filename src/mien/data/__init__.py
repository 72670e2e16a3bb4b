"""Datasets of labelled faces: every kind becomes one :class:`Manifest`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.data import readers  # noqa: F401 - they register
from mien.data.image_stores import FileImages, ImageStore
from mien.data.joined import read_sources
from mien.data.manifest import Manifest
from mien.data.readers.assemble import assemble
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLITS
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mien.labels import LabelSchema

__all__ = [
    "SPLITS",
    "FileImages",
    "ImageStore",
    "Manifest",
    "ReadRequest",
    "assemble",
    "read_manifest",
    "register_reader",
]


def read_manifest(
    spec: str | Sequence[str],
    *,
    labels: str | LabelSchema | None = None,
    valid_share: float = 0.1,
    seed: int = 0,
    runs: Iterable[str | Path] = (),
) -> Manifest:
    """Reads a dataset, or several as one.

    Of several, each is split and freed of copies by itself; then train pictures that are also in
    another one's valid or test are removed. Keys and groups begin with the name of the dataset.

    Args:
        spec: ``KIND:PATH[,key=value...]``, for example ``ferplus:data/ferplus,mode=majority``;
            or the bare path of a folder, a ``.csv`` or a ``.parquet`` file; or a list of these.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own, and of
            several the smallest known one that holds all their labels.
        valid_share: Share of the pictures to put into valid where the data has no splits.
        seed: Seed of that split; the same seed gives the same split.
        runs: Run directories that are to be scored: where the data has no splits, valid is what
            all of them held out in training. That is logged, and stands in the warnings.

    Raises:
        ConfigError: If the kind or an option is unknown or impossible.
        DataError: If the path does not exist or the data does not add up.
        MissingExtraError: If the reader needs pyarrow and it is not installed.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     for name in ("happy/1.png", "happy/2.png", "sad/1.png", "sad/2.png"):
    ...         Path(root, name).parent.mkdir(exist_ok=True)
    ...         _ = Path(root, name).write_bytes(name.encode())
    ...     manifest = read_manifest(root, labels="hes3", valid_share=0.5)
    >>> manifest.counts()["valid"]
    {'angry': 0, 'happy': 1, 'sad': 1}
    """
    if not 0.0 <= valid_share < 1.0:
        raise ConfigError(f"valid_share must lie in 0 <= share < 1, got {valid_share}")
    return read_sources(spec, labels, runs=runs, valid_share=valid_share, seed=seed)[0]


def as_manifest(data: Manifest | str | Sequence[str], **how: Any) -> Manifest:
    """Returns a manifest as it is, and reads specs, see :func:`read_manifest`."""
    return data if isinstance(data, Manifest) else read_manifest(data, **how)
