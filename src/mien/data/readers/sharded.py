"""Pictures that lie in shards: large files which are read from their beginning to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.stores import SelectedImages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mien.data.stores import ImageStore
    from mien.preprocess import Preprocessing


class ShardedImages:
    """A store whose N pictures lie one after another in shards.

    Args:
        counts: Pictures in each shard.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        #: Position of the first picture of each shard, and N at the end.
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def locate(self, index: int) -> tuple[int, int]:
        """Returns the shard of a picture and its row in there."""
        shard = int(np.searchsorted(self.starts, index, side="right")) - 1
        return shard, int(index - self.starts[shard])

    def key(self, index: int) -> str:
        """Returns the name of the shard and the row in it."""
        raise NotImplementedError

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of one picture, wherever it lies."""
        raise NotImplementedError

    def read_rows(self, shard: int, rows: NDArray[np.int64]) -> Iterator[bytes]:
        """Yields pictures of one shard in the order in which they lie there.

        Args:
            shard: Its number.
            rows: Ascending rows.

        Raises:
            DataError: If the shard is damaged; it is named.
        """
        raise NotImplementedError

    def as_picture(self, data: bytes) -> bytes:
        """Returns what ``read_rows`` yielded as an encoded picture."""
        return data

    def is_ready(self, _preprocessing: Preprocessing) -> bool:
        """Tells whether ``read_rows`` yields faces as bare pixels (S, S, C) of that input."""
        return False


def find_shards(images: ImageStore) -> tuple[ShardedImages, NDArray[np.int64]] | None:
    """Returns the shards that a manifest's pictures lie in, None where they lie elsewhere.

    Returns:
        The shards, and the (N,) positions in them.
    """
    rows = np.arange(len(images))
    while isinstance(images, SelectedImages):
        rows, images = images.indices[rows], images.base
    return (images, rows) if isinstance(images, ShardedImages) else None
