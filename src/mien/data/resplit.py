"""New splits that keep copies and subjects together (``mien data split``)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.data.faces import damaged_keys, keep_readable
from mien.data.inspection.run import Bars, compare_pictures, picture_groups
from mien.data.registry import open_for_inspection
from mien.data.split import check_shares, split_name, stratified_group_split
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

__all__ = ["Resplit", "parse_shares", "resplit"]


@dataclass(frozen=True, eq=False)
class Resplit:
    """A dataset dealt out anew.

    Args:
        manifest: The readable pictures with their new splits; its groups were kept together.
        unreadable: Names of the pictures left out.
        groups: Number of groups.
    """

    manifest: Manifest
    unreadable: tuple[str, ...]
    groups: int


def parse_shares(text: str) -> dict[str, float]:
    """Reads ``train=0.8,valid=0.1,test=0.1``.

    Raises:
        ConfigError: If it is of another form, or the shares do not sum to 1.

    >>> parse_shares("train=0.9, val=0.1")
    {'train': 0.9, 'valid': 0.1}
    """
    shares: dict[str, float] = {}
    subject = f"--shares {text}"
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            split, share = split_name(name, ""), float(value)
        except ValueError as error:
            form = "train=0.8,valid=0.1,test=0.1"
            raise ConfigError(f"is not of the form {form}", subject=subject) from error
        except DataError as error:
            raise ConfigError(error.reason, subject=subject, hint=error.hint) from error
        if split in shares:
            raise ConfigError(f"has {split} twice", subject=subject)
        shares[split] = share
    check_shares(shares, subject)
    return shares


def resplit(
    spec: str,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    near: float = 0.95,
    workers: int = 2,
    labels: str | LabelSchema | None = None,
    bars: Bars,
) -> Resplit:
    """Deals a dataset out to splits, whatever splits it had.

    Exact, near and mirrored copies, made copies of one source, and pictures of one subject stay
    together; classes are balanced as far as that allows. Unreadable pictures are left out.

    Args:
        spec: The dataset.
        shares: Share of each split, summing to 1.
        seed: Seed of the order in which groups are dealt.
        near: Smallest correlation of near copies.
        workers: Threads that decode.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.
        bars: Makes a progress bar of a title and a number of steps.

    Raises:
        ConfigError: If an argument is impossible.
        DataError: If the dataset cannot be read.
    """
    manifest, _ = open_for_inspection(spec, labels=labels)
    scan, duplicates = compare_pictures(manifest, near=near, workers=workers, bars=bars)
    roots = picture_groups(manifest, duplicates)
    names = np.array([f"group{root:07}" for root in roots.tolist()])
    if manifest.groups is not None:
        names = manifest.groups[roots]
    damaged = scan.damaged(manifest)
    keep = keep_readable(manifest, damaged)
    kept, names = manifest.select(keep), names[keep]
    splits = stratified_group_split(kept.class_ids, names, shares, seed)
    fresh = dataclasses.replace(
        kept, splits=splits, groups=names, leaked=np.zeros(len(kept), np.bool_), warnings=()
    )
    return Resplit(fresh, damaged_keys(manifest, damaged), len(np.unique(names)))
