"""Training faces that are read from shards while the training goes on: memory stays small."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from mien.data.faces import keep_readable, read_face
from mien.data.image_stores import find_shards
from mien.errors import DataError, MienError
from mien.training.data.faces import count_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from mien.arrays import I64, U8
    from mien.data import Manifest
    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig
    from mien.training.distributed.processes import DistInfo

    Batch = tuple[Tensor, Tensor, Tensor]
    T = TypeVar("T")


class StreamedFaces:
    """The training faces of a manifest in shards: labels in memory, pictures where they are."""

    sources: Tensor | None = None  # several datasets are never streamed

    def __init__(self, manifest: Manifest, preprocessing: Preprocessing) -> None:
        found = find_shards(manifest.images)
        assert found is not None  # noqa: S101 - the caller looked
        self.store, rows = found
        self.preprocessing = preprocessing
        self.manifest = manifest
        #: Why pictures could not be read, by their positions; the loader adds to it.
        self.damaged: dict[int, DataError] = {}
        self.targets = torch.from_numpy(manifest.targets)
        self.class_ids = torch.from_numpy(manifest.class_ids)
        order = np.argsort(rows, kind="stable")
        #: By shard: positions in the manifest, and rows in the shard, both in the shard's order.
        self.parts: list[tuple[I64, I64]] = []
        cuts = np.searchsorted(rows[order], self.store.starts)
        for first, low, high in zip(self.store.starts, cuts, cuts[1:], strict=False):
            self.parts.append((order[low:high], rows[order[low:high]] - first))

    def __len__(self) -> int:
        return len(self.class_ids)

    def read(self, shards: I64, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yields faces, ``start`` to ``stop`` of shards laid end to end: position and content."""
        first = 0
        for shard in shards.tolist():
            positions, rows = self.parts[shard]
            low, high = max(start - first, 0), min(stop - first, len(rows))
            if low < high:
                pictures = self.store.read_rows(shard, rows[low:high])
                yield from zip(positions[low:high].tolist(), pictures, strict=True)
            first += len(rows)

    def decode(self, faces: list[tuple[int, bytes]]) -> tuple[Batch, dict[int, DataError]]:
        """Returns faces uint8 (N, C, S, S), targets (N, K) and class ids (N,).

        Pictures that cannot be read are left out; why is returned by their positions.
        """
        p, positions, damaged = self.preprocessing, [at for at, _ in faces], {}
        if self.store.is_ready(p):
            pixels = np.frombuffer(bytearray().join(data for _, data in faces), np.uint8)
        else:
            read: dict[int, U8] = {}
            for at, data in faces:
                try:
                    read[at] = read_face(self.store.as_picture(data), self._key(at), p)
                except DataError as error:
                    damaged[at] = error
            if not read:
                raise damaged[positions[0]]
            positions, pixels = list(read), np.stack(list(read.values()))
        shape = (len(positions), p.size, p.size, p.channels)
        chosen = torch.tensor(positions)
        images = torch.from_numpy(pixels.reshape(shape)).permute(0, 3, 1, 2)
        return (images.contiguous(), self.targets[chosen], self.class_ids[chosen]), damaged

    def _key(self, position: int) -> str:
        return self.manifest.images.key(position)


def shuffled(faces: Iterable[T], size: int, random: np.random.Generator) -> Iterator[T]:
    """Yields everything in a random order; at most ``size`` are held at a time."""
    held: list[T] = []
    for face in faces:
        if len(held) < size:
            held.append(face)
            continue
        slot = int(random.integers(size))
        out, held[slot] = held[slot], face
        yield out
        del out  # a face that is handed on is no longer held
    while held:
        slot = int(random.integers(len(held)))
        held[slot], held[-1] = held[-1], held[slot]
        yield held.pop()


def plan_batches(
    size: int, batch_size: int, dist: DistInfo, *, workers: int, worker: int
) -> tuple[int, list[int]]:
    """Returns the first face that a worker reads in an epoch, and the sizes of its batches.

    The ``size`` faces of an epoch, in the order of its shards, are cut into equal runs, one a
    process, and each of those into runs for its workers, who make every ``workers``-th batch.

    >>> from mien.training.distributed.processes import SINGLE, DistInfo
    >>> plan_batches(10, 4, SINGLE, workers=2, worker=1)
    (6, [4])
    >>> plan_batches(11, 4, DistInfo(1, 2, 1, 2), workers=1, worker=0)
    (5, [2, 2, 2])
    """
    start, stop = (size * (dist.rank + more) // dist.world_size for more in (0, 1))
    own = batch_size // dist.world_size
    steps = count_steps(size, batch_size)
    sizes = [min(own, stop - start - step * own) for step in range(steps)]
    before = sum(sum(sizes[other::workers]) for other in range(worker))
    return start + before, sizes[worker::workers]


class EpochStream(IterableDataset["tuple[Batch, dict[int, DataError]] | MienError"]):
    """Batches of one epoch, read from shards in an order of the seed and the epoch's number.

    With each come the pictures of it that could not be read. A damaged shard is handed on as an
    error, which no worker process could raise whole.
    """

    def __init__(self, faces: StreamedFaces, config: TrainConfig, dist: DistInfo) -> None:
        self.faces, self.config, self.dist = faces, config, dist
        # Workers live as long as the training: they see the epoch's number in shared memory.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch; the training loop calls it."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[tuple[Batch, dict[int, DataError]] | MienError]:
        info = torch.utils.data.get_worker_info()
        workers, worker = (info.num_workers, info.id) if info else (1, 0)
        config, faces, dist, epoch = self.config, self.faces, self.dist, int(self._epoch)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(faces.parts))
        start, sizes = plan_batches(
            len(faces), config.batch_size, dist, workers=workers, worker=worker
        )
        random = np.random.default_rng([config.seed, epoch, dist.rank, worker])
        read = faces.read(order, start, start + sum(sizes))
        stream = shuffled(read, max(config.shuffle_buffer // workers, 1), random)
        try:
            for size in sizes:
                yield faces.decode(list(islice(stream, size)))
        except MienError as error:
            yield error


class StreamLoader:
    """Loads the batches of each epoch, ahead of the training and in processes of their own."""

    def __init__(self, faces: StreamedFaces, config: TrainConfig, dist: DistInfo) -> None:
        #: The training loop tells it the epoch, as it does samplers.
        self.sampler = EpochStream(faces, config, dist)
        self._steps = count_steps(len(faces), config.batch_size)
        self._loader = self._make_loader()

    def _make_loader(self) -> DataLoader[Any]:
        workers = self.sampler.config.workers
        return DataLoader(
            self.sampler, batch_size=None, num_workers=workers, persistent_workers=workers > 0
        )

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        try:
            yield from self._read()
        except MienError:
            # Ends the processes now. The error's traceback and this loader hold each other: the
            # garbage collector could close their pipes first, and then wait for each in vain.
            self._loader = self._make_loader()
            raise

    def _read(self) -> Iterator[Batch]:
        known, faces = self.sampler.faces.damaged, self.sampler.faces.manifest
        before = len(known)
        for batch in self._loader:
            if isinstance(batch, MienError):
                raise batch
            read, damaged = batch
            known.update(damaged)
            if damaged and faces.on_error == "stop":
                break
            yield read
        if len(known) > before:
            keep_readable(faces, known)
