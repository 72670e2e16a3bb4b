"""Faces in memory as uint8, the order in which an epoch visits them, and what valid is for."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mien.data.split import stratified_group_split
from mien.training.distributed.processes import SINGLE, DistInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from mien.arrays import F32, I64, U8, Bools
    from mien.data import Manifest


class FaceTensors(Dataset[tuple["Tensor", ...]]):
    """All faces of a split (N, S, S, C), indexed a batch at a time; class -1: no majority label.

    ``sources`` (N,) are numbers of datasets, which a batch ends with where there are several.
    """

    def __init__(self, faces: U8, targets: F32, class_ids: I64, sources: I64 | None = None) -> None:
        self.faces = torch.from_numpy(faces).permute(0, 3, 1, 2).contiguous()
        self.targets = torch.from_numpy(targets)
        self.class_ids = torch.from_numpy(class_ids)
        self.sources = None if sources is None else torch.from_numpy(sources)

    def select(self, which: Bools) -> FaceTensors:
        """Returns the faces where bool (N,) is true; all of them are not copied."""
        if which.all():
            return self
        mask, chosen = torch.from_numpy(which), copy(self)
        chosen.faces, chosen.targets = self.faces[mask], self.targets[mask]
        chosen.class_ids = self.class_ids[mask]
        chosen.sources = None if self.sources is None else self.sources[mask]
        return chosen

    def sample(self, count: int, *, seed: int) -> FaceTensors:
        """Returns some of the faces, drawn by chance; all where there are no more."""
        which = np.zeros(len(self), np.bool_)
        which[np.random.default_rng(seed).permutation(len(self))[:count]] = True
        return self.select(which)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: list[int]) -> tuple[Tensor, ...]:
        chosen = torch.as_tensor(index, dtype=torch.int64)
        batch = self.faces[chosen], self.targets[chosen], self.class_ids[chosen]
        return batch if self.sources is None else (*batch, self.sources[chosen])


def count_steps(size: int, batch_size: int) -> int:
    """Returns the steps of an epoch; a last batch shorter than half of the others is left out.

    >>> count_steps(100, 32), count_steps(112, 32), count_steps(5, 32)
    (3, 4, 1)
    """
    whole, rest = divmod(size, batch_size)
    return whole + int(rest > 0 and (rest >= batch_size / 2 or whole == 0))


class EpochOrder(Sampler[list[int]]):
    """Batches of indices; the order of an epoch depends on the seed and its number alone.

    A run that was killed and resumed therefore sees the same batches as one that was not. Several
    processes share each batch: its faces go to them in turn, so that together they visit what one
    would, and none twice. A batch smaller than ``world`` leaves some of them empty-handed.
    ``weights`` (N,) say how often each face is drawn, with replacement; None: each once. Without
    ``shuffle`` all faces come in their own order.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        weights: Tensor | None = None,
        dist: DistInfo = SINGLE,
    ) -> None:
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        self.weights, self.dist = weights, dist
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch; the training loop calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        if not self.shuffle:
            return math.ceil(self.size / self.batch_size)
        return count_steps(self.size, self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.size)
        if self.shuffle:
            random = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
            if self.weights is None:
                order = torch.randperm(self.size, generator=random)
            else:
                order = self.weights.multinomial(self.size, replacement=True, generator=random)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            batch = order[start : start + self.batch_size]
            yield batch[self.dist.rank :: self.dist.world_size].tolist()


def make_loader(data: FaceTensors, batch_size: int, **order: Any) -> DataLoader[tuple[Tensor, ...]]:
    """Returns a loader of whole batches in the :class:`EpochOrder`, sliced in this process."""
    return DataLoader(data, sampler=EpochOrder(len(data), batch_size, **order), batch_size=None)


def limit_faces(train: Manifest, count: int, seed: int) -> Manifest:
    """Returns ``count`` faces, each class of each dataset by its share, and one at least."""
    _, kinds = np.unique(train.class_ids, return_inverse=True)
    if train.sources is not None:
        kinds = kinds + len(train) * np.unique(train.sources, return_inverse=True)[1]
    place = np.zeros(len(train))
    random = np.random.default_rng(seed)
    for kind in np.unique(kinds):
        inside = random.permutation(np.flatnonzero(kinds == kind))
        place[inside] = np.arange(len(inside)) / len(inside)  # the first of each class come first
    return train.select(np.sort(np.argsort(place, kind="stable")[:count]))


def deal_valid(valid: Manifest, seed: int) -> Bools:
    """Deals the N validation faces into two halves, classes balanced and groups kept whole.

    A temperature or a prediction set that is fitted on the faces that chose the epoch is too sure
    of itself, since these are right a little more often than new ones. So one half takes part in
    the training's choices (best epoch, early stopping, a plateau's rate, the trials of a study),
    and the other calibrates, seen only when all is chosen. Both together are scored. True (N,) are
    those that choose: all, where they are of one group; then they calibrate as well. Of several
    datasets each is dealt by itself.
    """
    if valid.sources is not None:
        chosen = np.ones(len(valid), np.bool_)
        for name in np.unique(valid.sources):
            inside = valid.sources == name
            chosen[inside] = deal_valid(replace(valid.select(inside), sources=None), seed)
        return chosen
    shares = {"select": 0.5, "calibrate": 0.5}
    selects = stratified_group_split(valid.class_ids, valid.groups, shares, seed) == "select"
    return selects if selects.any() and not selects.all() else np.ones(len(valid), np.bool_)


def calibration_part(selects: Bools) -> Bools:
    """Returns which validation faces calibrate: those that did not choose, or all."""
    return np.asarray(~selects if not selects.all() else selects)
