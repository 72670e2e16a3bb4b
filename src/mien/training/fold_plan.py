"""The deal of a dataset to folds, and its record in the folder of a cross-validation."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.atomic import write_text
from mien.data import read_manifest
from mien.data.inspection.run import compare_pictures, picture_groups, silent
from mien.data.split import grouped_folds, stratified_group_split
from mien.errors import ConfigError
from mien.training.directory import FREE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data import Manifest
    from mien.data.inspection.run import Bars
    from mien.training.config import TrainConfig

PLAN = "folds.json"
#: Share of the faces outside a fold that choose the epoch and the temperature.
_CHOOSING = 0.1


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """N faces dealt out to folds.

    Args:
        manifest: The faces of train and valid; ``groups`` are what stays together.
        fold_ids: int64 (N,) in 0..folds-1.
        folds: Number of folds.
    """

    manifest: Manifest
    fold_ids: NDArray[np.int64]
    folds: int

    def held_out(self, fold: int) -> Manifest:
        """Returns the labelled faces of a fold: those that it scores."""
        return self.manifest.select(self.fold_ids == fold).with_labels()

    def splits_of(self, fold: int, seed: int) -> Manifest:
        """Returns all faces with the fold as test, and the others as train and valid."""
        outside = self.fold_ids != fold
        splits = np.full(len(self.manifest), "test", dtype="U5")
        groups = self.manifest.groups
        splits[outside] = stratified_group_split(
            self.manifest.class_ids[outside],
            None if groups is None else groups[outside],
            {"train": 1 - _CHOOSING, "valid": _CHOOSING},
            seed,
        )
        return dataclasses.replace(self.manifest, splits=splits)


def plan_folds(
    config: TrainConfig, *, folds: int, near: float = 0.95, bars: Bars | None = None
) -> FoldPlan:
    """Deals the train and valid faces of a recipe's dataset out to folds, classes balanced.

    Args:
        config: The recipe; its seed decides the deal.
        folds: Number of folds, 2 or more.
        near: Least correlation of near copies, which stay together.
        bars: Makes a progress bar of a title and a number of steps.

    Raises:
        ConfigError: If there are fewer than two folds.
        DataError: If the dataset cannot be read, or has fewer groups than folds.
    """
    whole = read_manifest(
        config.data, labels=config.labels or None, valid_share=0.0, seed=config.seed
    )
    kept = whole.select(whole.splits != "test")
    count, workers = len(kept), os.cpu_count() or 1
    _, copies = compare_pictures(kept, near=near, workers=workers, bars=bars or silent)
    groups = np.array([f"group{root:07}" for root in picture_groups(kept, copies).tolist()])
    manifest = dataclasses.replace(
        kept, splits=np.full(count, "train"), groups=groups, leaked=np.zeros(count, np.bool_)
    )
    dealt = grouped_folds(kept.class_ids, groups, folds=folds, seed=config.seed)
    return FoldPlan(manifest, dealt, folds)


def write_plan(plan: FoldPlan, config: TrainConfig, output: Path, *, near: float) -> None:
    """Writes which face lies in which fold, or checks that it is what was begun with.

    Raises:
        ConfigError: If it is not.
    """
    recipe = {key: value for key, value in config.to_dict().items() if key not in FREE}
    faces = plan.manifest.fingerprint()
    now = {"folds": plan.folds, "near": near, "faces": faces, "recipe": recipe}
    path = output / PLAN
    if path.is_file():
        then = json.loads(path.read_text(encoding="utf-8"))
        if then != now:
            differing = [key for key in now if then.get(key) != now[key]]
            raise ConfigError(
                (
                    f"was started with other values ({', '.join(differing)}): go on with the same "
                    "ones, or give another --output"
                ),
                subject=output,
            )
        return
    if output.exists() and any(output.iterdir()):
        raise ConfigError("holds no cross-validation: give another --output", subject=output)
    output.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["key", "label", "group", "fold"])
    labels, groups = plan.manifest.schema.labels, plan.manifest.groups
    for index, (class_id, fold) in enumerate(
        zip(plan.manifest.class_ids, plan.fold_ids, strict=True)
    ):
        label = labels[class_id] if class_id >= 0 else ""
        group = "" if groups is None else groups[index]
        writer.writerow([plan.manifest.images.key(index), label, group, fold + 1])
    write_text(path, json.dumps(now, indent=2) + "\n")
    write_text(output / "folds.csv", table.getvalue())
