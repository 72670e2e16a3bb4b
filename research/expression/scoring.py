"""Accuracy and balanced accuracy on the held-out faces of every source, at several priors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from research.expression.tones import Tones, change_tones
from research.expression.views import VIEW, Geometry, draw_view, plain_view, resize, standardize
from torch import Tensor, nn

if TYPE_CHECKING:
    from research.expression.bank import SourceFaces

#: Strengths of FER+'s natural prior at which everything is scored.
STRENGTHS = (0.0, 0.3, 0.45, 0.6, 0.8, 1.0)
#: The sets whose balanced accuracies are averaged.
MEAN_OF = ("ferplus", "affect", "cfee", "moodme")


@dataclass(eq=False)
class ValidationSet:
    """Ready views of held-out faces.

    Args:
        views: Side -> uint8 (N, 1, side, side).
        class_ids: int64 (N,).
    """

    views: dict[int, Tensor]
    class_ids: Tensor


def validation_sets(
    bank: dict[str, dict[str, SourceFaces]], sides: tuple[int, ...], *, max_faces: int | None = None
) -> dict[str, ValidationSet]:
    """Builds all sets once; what is drawn by chance has a seed of its own.

    ``ferplus``, ``affect``, ``cfee`` (basic expressions), ``moodme`` and ``contempt`` as they are;
    ``affect_filled``: backgrounds about the ovals; ``*_framed``: other framings; ``*_heavy``: all
    corruptions of training and more.
    """
    sets = {}
    material = bank["train"]["ferplus"].images
    state = torch.get_rng_state()
    torch.manual_seed(1)
    still = Geometry(rotate=0, zoom=(1, 1), wide=0, shift=0, stretch=0, cut=0, fill=0, mirror=0)
    moved = Geometry(rotate=12, zoom=(0.75, 1.3), wide=0, shift=0.1, cut=0, fill=0)
    for name, faces in bank["valid"].items():
        index = torch.nonzero(faces.class_ids >= 0)[:, 0][:max_faces]
        class_ids = faces.class_ids[index]
        views = {side: _bytes(plain_view(faces, index, side=side)) for side in sides}
        sets[name] = ValidationSet(views, class_ids)
        drawn: dict[str, Tensor] = {}
        if name == "affect":
            filled = Geometry(**{**still.__dict__, "black": 0.0})
            drawn["affect_filled"] = draw_view(faces, index, filled, material)
        if name in {"ferplus", "cfee"}:
            drawn[f"{name}_framed"] = draw_view(faces, index, moved, material)
            clean = plain_view(faces, index, side=VIEW)
            drawn[f"{name}_heavy"] = change_tones(clean, Tones.heavy())
        for key, view in drawn.items():
            sizes = {side: _bytes(resize(view, side)) for side in sides}
            sets[key] = ValidationSet(sizes, class_ids)
    torch.set_rng_state(state)
    return sets


def _bytes(view: Tensor) -> Tensor:
    return view.round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def predict(network: nn.Module, views: Tensor, *, batch_size: int = 1024) -> Tensor:
    """Maps uint8 views (N, 1, S, S) to float32 logits (N, 8) in full precision."""
    # Every set ends with a batch of its own size: not worth a search for the best kernels.
    torch.backends.cudnn.benchmark = False
    network.eval()
    parts = views.split(batch_size)
    return torch.cat([network(standardize(part.float())).float() for part in parts])


def rates(logits: Tensor, class_ids: Tensor, prior: Tensor) -> dict[str, Any]:
    """Returns accuracy and balanced accuracy by strength of the prior, and recalls at 0.45."""
    result: dict[str, Any] = {}
    for strength in STRENGTHS:
        hits = (logits + strength * prior).argmax(dim=1) == class_ids
        recalls = {
            int(k): float(hits[class_ids == k].float().mean()) for k in class_ids.unique().tolist()
        }
        balanced = sum(recalls.values()) / len(recalls)
        result[f"{strength:g}"] = [round(float(hits.float().mean()), 4), round(balanced, 4)]
        if strength == 0.45:
            result["recalls"] = {k: round(value, 3) for k, value in recalls.items()}
    return result


def score(
    network: nn.Module, sets: dict[str, ValidationSet], side: int, prior: Tensor
) -> dict[str, Any]:
    """Scores a network on all sets; ``mean`` averages balanced accuracy over sources."""
    result = {
        name: rates(predict(network, part.views[side]), part.class_ids, prior)
        for name, part in sets.items()
    }
    there = [name for name in MEAN_OF if name in result]
    result["mean"] = {
        f"{strength:g}": round(sum(result[k][f"{strength:g}"][1] for k in there) / len(there), 4)
        for strength in STRENGTHS
    }
    return result


def summary(result: dict[str, Any], strength: str = "0.45") -> str:
    """Returns one line: accuracy/balanced accuracy by set at one strength of the prior."""
    parts = [
        f"{name} {100 * value[strength][0]:.1f}/{100 * value[strength][1]:.1f}"
        for name, value in result.items()
        if name != "mean"
    ]
    return f"mean {100 * result['mean'][strength]:.1f} | " + ", ".join(parts)
