"""All faces of a run on one device, with what is known about each."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = 32
PRIOR_FLOOR = 0.01
#: Sources without a distribution of their own that means anything: all classes alike.
NO_PRIOR = ("contempt", "moodme")
UNLABELLED = ("portraits", "photos")


@dataclass(eq=False)
class SourceFaces:
    """One source's faces of one split, on the device.

    Args:
        name: The source.
        images: uint8 (N, 1, S, S).
        masks: uint8 (N, 1, S, S), 255 where the face is, 0 where its cut-out ends; or None.
        targets: float32 (N, 8), rows summing to 1, or zeros where nothing is known.
        class_ids: int64 (N,), -1 where there is none.
        frame: FER2013's frame as a share of the stored side.
        shift_y: Its centre below the stored centre, in stored sides.
        weights: float32 (N,), how often each face is drawn.
        log_prior: float32 (8,), logarithm of the shares of classes among the faces drawn.
        answers: float32 (N, 8), what the teachers say under that prior; None before.
        rows: int64 (N,), rows of the original table.
    """

    name: str
    images: Tensor
    masks: Tensor | None
    targets: Tensor
    class_ids: Tensor
    frame: float
    shift_y: float
    weights: Tensor
    log_prior: Tensor
    rows: Tensor
    answers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


def decode_sheet(data: Path, side: int) -> NDArray[np.uint8]:
    """Reads one sheet: uint8 (rows * 32, side, side)."""
    from PIL import Image

    with Image.open(data) as picture:
        sheet = np.asarray(picture.convert("L"))
    return sheet.reshape(-1, side, COLUMNS, side).swapaxes(1, 2).reshape(-1, side, side)


def oval_masks(images: Tensor, *, dark: float = 14) -> Tensor:
    """Finds the black surroundings of cut-out faces: dark pixels connected with the border.

    Args:
        images: uint8 (N, 1, S, S).
        dark: Highest gray level that counts as black.

    Returns:
        uint8 (N, 1, S, S), 255 inside.
    """
    parts = []
    for part in images.split(4096):
        black = (part <= dark).float()
        reached = torch.zeros_like(black)
        reached[..., 0, :] = black[..., 0, :]
        reached[..., -1, :] = black[..., -1, :]
        reached[..., 0] = black[..., 0]
        reached[..., -1] = black[..., -1]
        for _ in range(images.shape[-1] // 2):
            reached = functional.max_pool2d(reached, 3, 1, 1) * black
        outside = functional.max_pool2d(reached, 3, 1, 1)
        parts.append(((1 - outside) * 255).to(torch.uint8))
    return torch.cat(parts)


def class_weights(targets: Tensor, power: float) -> Tensor:
    """Returns how often to draw each face so that a class's share is about its own to ``power``."""
    share = targets.mean(dim=0).clamp_min(1e-4)
    return (targets * share.pow(power - 1)).sum(dim=1)


def log_prior(targets: Tensor, weights: Tensor, floor: float = PRIOR_FLOOR) -> Tensor:
    """Returns the logarithm of the classes' shares (8,) among weighted faces, none below floor."""
    share = (targets * weights.unsqueeze(1)).sum(dim=0) / weights.sum()
    share = share.clamp_min(floor)
    return (share / share.sum()).log()


def load_bank(
    folder: Path, device: torch.device, *, class_power: float, max_faces: int | None = None
) -> dict[str, dict[str, SourceFaces]]:
    """Reads what :mod:`research.expression.pack` wrote: split -> source -> faces.

    Args:
        folder: Of the sheets.
        device: Where the faces go.
        class_power: See :func:`class_weights`.
        max_faces: Read no more faces than this of each source and split; None: all.
    """
    about = json.loads((folder / "faces.json").read_text())
    table = np.load(folder / "faces.npz")
    jobs: list[tuple[str, str, dict[str, Any], list[Path]]] = []
    for source in about["sources"]:
        for split in ("train", "valid"):
            paths = sorted(folder.glob(f"{source['name']}_{split}_*.avif"))
            if max_faces is not None:
                paths = paths[: -(-max_faces // about["per_sheet"])]
            if paths:
                jobs.append((source["name"], split, source, paths))
    with ThreadPoolExecutor(max_workers=16) as pool:
        decoded = [
            list(pool.map(lambda p, s=source["side"]: decode_sheet(p, s), paths))
            for _, _, source, paths in jobs
        ]
    bank: dict[str, dict[str, SourceFaces]] = {"train": {}, "valid": {}}
    for (name, split, source, _), parts in zip(jobs, decoded, strict=True):
        key = f"{name}_{split}"
        n = min(len(table[f"{key}_targets"]), sum(map(len, parts)), max_faces or 1 << 40)
        images = torch.from_numpy(np.concatenate(parts)[:n].copy()).unsqueeze(1).to(device)
        targets = torch.from_numpy(table[f"{key}_targets"][:n].astype(np.float32) / 65535)
        weights = torch.ones(n)
        prior = torch.zeros(targets.shape[1])
        if name not in UNLABELLED and name not in NO_PRIOR and split == "train":
            weights = class_weights(targets, class_power)
            if name == "cfee":
                # Basic expressions twice as often as compound ones.
                weights = weights * (1 + (targets.amax(dim=1) > 0.99))
            prior = log_prior(targets, weights)
        bank[split][name] = SourceFaces(
            name, images, oval_masks(images) if name == "affect" else None, targets.to(device),
            torch.from_numpy(table[f"{key}_class_ids"][:n].astype(np.int64)).to(device),
            source["frame"], source["shift_y"], weights.to(device), prior.to(device),
            torch.from_numpy(table[f"{key}_rows"][:n].astype(np.int64)),
        )  # fmt: skip
    natural = natural_prior(bank)
    for name in UNLABELLED:
        if name in bank["train"]:
            bank["train"][name].log_prior = natural.clone()
    return bank


def natural_prior(bank: dict[str, dict[str, SourceFaces]]) -> Tensor:
    """Returns the logarithm of the classes' shares (8,) in FER+'s training faces."""
    targets = bank["train"]["ferplus"].targets
    return log_prior(targets, torch.ones(len(targets), device=targets.device), floor=1e-4)
