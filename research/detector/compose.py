"""What crops hold beyond photographs: mosaics, pasted faces, things in front of faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from research.detector.pack import CROP
from research.detector.views import Regions, choose_regions, clip_boxes, log_uniform, uniform
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from research.detector.bank import Bank


@dataclass(frozen=True)
class ComposeConfig:
    """How often crops are composed.

    Args:
        mosaic: Share of the crops that become mosaics of four.
        paste: Share of the crops into which ready-cropped faces are pasted.
        paste_most: Most of them in one crop.
        paste_range: Smallest and largest side of such a square, in pixels.
        paste_other: Share of the crops into which a square without a face is pasted.
        cover: Share of the crops in which something covers a part of one face.
    """

    mosaic: float = 0.25
    paste: float = 0.3
    paste_most: int = 3
    paste_range: tuple[float, float] = (14.0, 240.0)
    paste_other: float = 0.15
    cover: float = 0.2


def _pick(count: int, share: float, device: torch.device) -> Tensor:
    """Chooses round(share * count) of ``count`` indices."""
    return torch.randperm(count, device=device)[: round(share * count)]


def _pixels(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    axis = torch.arange(size, device=device) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x, y


def mix_mosaics(crops: Tensor, regions: Regions, config: ComposeConfig) -> tuple[Tensor, Regions]:
    """Replaces some crops by mosaics of four crops of the batch, each kept where it lies."""
    count, _, size, _ = crops.shape
    device = crops.device
    chosen = _pick(count, config.mosaic, device)
    if len(chosen) == 0:
        return crops, regions
    parts = torch.randint(count, (len(chosen), 4), device=device)
    split = uniform((len(chosen), 2), 0.25, 0.75, device) * size
    split = (split / 8).round() * 8
    x, y = _pixels(size, device)
    right, below = x >= split[:, :1, None], y >= split[:, 1:, None]
    mixed = crops[parts[:, 0]]
    boxes, visible = [], []
    for quarter in range(4):
        in_x, in_y = quarter % 2 == 1, quarter >= 2
        if quarter:
            inside = (right == in_x) & (below == in_y)
            mixed = torch.where(inside[:, None], crops[parts[:, quarter]], mixed)
        low = torch.stack([split[:, 0] * in_x, split[:, 1] * in_y], dim=1)
        high = torch.stack(
            [split[:, 0] if not in_x else split[:, 0] * 0 + size,
             split[:, 1] if not in_y else split[:, 1] * 0 + size], dim=1,
        )  # fmt: skip
        frame = torch.cat([low, high], dim=1)[:, None]
        cut, left = clip_boxes(regions.boxes[parts[:, quarter]], frame)
        boxes.append(cut)
        visible.append(left)
    shares = torch.cat(visible, dim=1)
    state = torch.cat([regions.state[parts[:, q]] for q in range(4)], dim=1)
    state = torch.where((state == 1) & (shares < 0.6), 0, state)
    state = torch.where(shares < 0.03, -1, state).to(torch.int8)
    joined = Regions(
        torch.cat(boxes, dim=1),
        torch.cat([regions.points[parts[:, q]] for q in range(4)], dim=1),
        torch.cat([regions.target[parts[:, q]] for q in range(4)], dim=1),
        state,
    )
    joined = choose_regions(joined, regions.state.shape[1])
    crops = crops.index_copy(0, chosen, mixed)
    return crops, Regions(
        regions.boxes.index_copy(0, chosen, joined.boxes),
        regions.points.index_copy(0, chosen, joined.points),
        regions.target.index_copy(0, chosen, joined.target),
        regions.state.index_copy(0, chosen, joined.state),
    )


def hide_regions(regions: Regions, chosen: Tensor, square: Tensor) -> None:
    """Faces of the chosen crops that squares (P, 4) cover become faces to ignore, or nothing.

    Changes ``regions`` in place.
    """
    boxes, state = regions.boxes[chosen], regions.state[chosen]
    _, covered = clip_boxes(boxes, square[:, None])
    state = torch.where((covered > 0.25) & (state == 1), 0, state)
    state = torch.where(covered > 0.7, -1, state)
    regions.state[chosen] = state.to(torch.int8)


def paste_faces(crops: Tensor, regions: Regions, bank: Bank, config: ComposeConfig) -> None:
    """Pastes ready-cropped gray faces with the hard border of their square; works in place.

    Each takes the place of one region of the crop, the last ones of ``regions``.
    """
    count, _, size, _ = crops.shape
    device = crops.device
    x, y = _pixels(size, device)
    slots = regions.state.shape[1]
    for number in range(config.paste_most):
        chosen = _pick(count, config.paste / (1 + number), device)
        if len(chosen) == 0:
            continue
        many = (len(chosen),)
        face = torch.randint(len(bank.faces), many, device=device)
        side = log_uniform(many, *config.paste_range, device)
        corner = torch.rand(*many, 2, device=device) * (size - side)[:, None]
        corner = corner.round()
        side = side.round()
        mirror = torch.rand(many, device=device) < 0.5
        u = (x - corner[:, :1, None]) / side.view(-1, 1, 1)
        v = (y - corner[:, 1:, None]) / side.view(-1, 1, 1)
        inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
        grid = torch.stack([torch.where(mirror.view(-1, 1, 1), 1 - u, u), v], dim=-1) * 2 - 1
        tile = functional.grid_sample(
            bank.faces[face][:, None].float(), grid, "bilinear", "border", align_corners=False
        )
        gain = uniform((len(chosen), 1, 1, 1), 0.7, 1.25, device)
        tile = (tile - 128) * gain + 128 + uniform((len(chosen), 1, 1, 1), -30, 30, device)
        tile = torch.cat([tile.expand(-1, 3, -1, -1), torch.zeros_like(tile)], dim=1)
        tile[:, :3] = tile[:, :3].clamp(0, 255)
        old = crops[chosen]
        crops[chosen] = torch.where(inside[:, None], tile.to(crops.dtype), old)
        square = torch.cat([corner, corner + side[:, None]], dim=1)
        hide_regions(regions, chosen, square)
        factor = (side / CROP)[:, None]
        box, points = bank.face_boxes[face], bank.face_points[face]
        box = torch.where(
            mirror[:, None],
            torch.stack([CROP - box[:, 2], box[:, 1], CROP - box[:, 0], box[:, 3]], dim=1),
            box,
        ).clamp(0, CROP)
        turned = points[:, [1, 0, 2, 4, 3]] * points.new_tensor([-1, 1])
        turned = turned + points.new_tensor([CROP, 0])
        points = torch.where(mirror[:, None, None], turned, points)
        slot = slots - 1 - number
        regions.boxes[chosen, slot] = box * factor + corner.repeat(1, 2)
        regions.points[chosen, slot] = points * factor[..., None] + corner[:, None]
        regions.target[chosen, slot] = 1.0
        regions.state[chosen, slot] = 1


def paste_others(crops: Tensor, regions: Regions, config: ComposeConfig) -> None:
    """Pastes squares of crops without any face, often gray, so that a border means no face."""
    count, _, size, _ = crops.shape
    device = crops.device
    empty = (regions.state < 0).all(dim=1) & (crops[:, 3].amax(dim=(1, 2)) < 0.1)
    donors = empty.nonzero()[:, 0]
    chosen = _pick(count, config.paste_other, device)
    if len(chosen) == 0 or len(donors) == 0:
        return
    x, y = _pixels(size, device)
    many = (len(chosen),)
    side = log_uniform(many, 24, 240, device).round()
    corner = (torch.rand(*many, 2, device=device) * (size - side)[:, None]).round()
    u, v = x - corner[:, :1, None], y - corner[:, 1:, None]
    inside = (u >= 0) & (v >= 0) & (u < side.view(-1, 1, 1)) & (v < side.view(-1, 1, 1))
    tile = crops[donors[torch.randint(len(donors), many, device=device)]]
    gray = (torch.rand(many, device=device) < 0.7).view(-1, 1, 1, 1)
    tile = torch.where(gray, tile[:, :3].mean(dim=1, keepdim=True), tile)
    tile[:, 3] = 0
    crops[chosen] = torch.where(inside[:, None], tile, crops[chosen])
    hide_regions(regions, chosen, torch.cat([corner, corner + side[:, None]], dim=1))


def cover_faces(crops: Tensor, regions: Regions, config: ComposeConfig) -> None:
    """Covers a part of one face in some crops: mouth and nose, eyes, forehead, or any part."""
    count, _, size, _ = crops.shape
    device = crops.device
    chosen = _pick(count, config.cover, device)
    if len(chosen) == 0:
        return
    many = (len(chosen),)
    score = (regions.state[chosen] == 1) + torch.rand_like(regions.target[chosen]) * 0.5
    best, slot = score.max(dim=1)
    box = regions.boxes[chosen, slot]
    sizes = box[:, 2:] - box[:, :2]
    kind = torch.randint(4, many, device=device)
    loose = torch.rand(*many, 2, device=device)
    # Centre x and y, half width and half height, in shares of the box.
    rules = torch.tensor(
        [
            [0.5, 0.78, 0.5, 0.27],
            [0.5, 0.38, 0.52, 0.11],
            [0.5, 0.04, 0.7, 0.2],
            [0, 0, 0.25, 0.25],
        ],
        device=device,
    )[kind]
    spot = torch.where((kind == 3)[:, None], loose, rules[:, :2] + (loose - 0.5) * 0.1)
    middle = box[:, :2] + spot * sizes
    reach = (rules[:, 2:] * uniform((*many, 2), 0.8, 1.2, device) * sizes).clamp(min=1)
    x, y = _pixels(size, device)
    u = ((x - middle[:, :1, None]) / reach[:, :1, None]).abs()
    v = ((y - middle[:, 1:, None]) / reach[:, 1:, None]).abs()
    power = uniform((len(chosen), 1, 1), 2.0, 6.0, device)
    inside = (u.clamp(max=4) ** power + v.clamp(max=4) ** power < 1) & (best >= 1).view(-1, 1, 1)
    color = torch.rand(len(chosen), 3, 1, 1, device=device) * 255
    plain = torch.rand(len(chosen), 1, 1, 1, device=device)
    color = torch.where(plain < 0.6, color.mean(dim=1, keepdim=True), color)
    old = crops[chosen]
    shade = old[:, :3] * 0.12 + (color * 0.88).to(crops.dtype)
    old[:, :3] = torch.where(inside[:, None], shade, old[:, :3])
    crops[chosen] = old
