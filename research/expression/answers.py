"""What trained teachers say about every training face, averaged over a few views of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from research.expression.views import MILD, draw_view, resize, standardize
from torch import Tensor, nn

if TYPE_CHECKING:
    from research.expression.bank import SourceFaces


@torch.no_grad()
def collect_answers(
    teachers: dict[str, tuple[nn.Module, int]],
    sources: dict[str, SourceFaces],
    *,
    seconds: float,
    max_views: int = 8,
    batch_size: int = 1024,
) -> dict[str, dict[str, Tensor]]:
    """Asks each teacher about each face under the source's own prior.

    Args:
        teachers: Name -> (network, side of its input); logits without prior.
        sources: The faces; every pass sees each of them once, framed a little differently.
        seconds: No further pass begins after this time; the first is always whole.
        max_views: Passes at most.
        batch_size: Faces asked about together.

    Returns:
        Teacher -> source -> mean probabilities, float32 (N, 8).
    """
    material = sources["ferplus"].images
    autocast = material.device.type == "cuda"
    sums = {
        teacher: {name: torch.zeros_like(faces.targets) for name, faces in sources.items()}
        for teacher in teachers
    }
    torch.backends.cudnn.benchmark = False
    begin = time.monotonic()
    done, last = 0, 0.0
    for network, _ in teachers.values():
        network.eval()
    while done < max_views and (done == 0 or time.monotonic() - begin + last <= seconds):
        started = time.monotonic()
        for name, faces in sources.items():
            for index in torch.arange(len(faces), device=material.device).split(batch_size):
                view = draw_view(faces, index, MILD, material)
                for teacher, (network, side) in teachers.items():
                    x = standardize(resize(view, side))
                    x = x.contiguous(memory_format=torch.channels_last)
                    with torch.autocast(material.device.type, torch.bfloat16, enabled=autocast):
                        logits = network(x)
                    probs = (logits.float() + faces.log_prior).softmax(dim=1)
                    sums[teacher][name][index] += probs
        if autocast:
            torch.cuda.synchronize()
        done, last = done + 1, time.monotonic() - started
    return {
        teacher: {name: total / done for name, total in by_source.items()}
        for teacher, by_source in sums.items()
    }


def set_answers(
    sources: dict[str, SourceFaces],
    answers: dict[str, dict[str, Tensor]],
    weights: dict[str, dict[str, float]],
) -> None:
    """Gives each source the weighted mean of its teachers' answers.

    Args:
        sources: The faces, changed in place.
        answers: What :func:`collect_answers` returned.
        weights: Teacher -> source -> weight; 1 where a source is not named, ``"*"`` for the rest.
    """
    for name, faces in sources.items():
        total, mean = 0.0, torch.zeros_like(faces.targets)
        for teacher, by_source in answers.items():
            of_teacher = weights.get(teacher, {})
            weight = of_teacher.get(name, of_teacher.get("*", 1.0))
            mean += weight * by_source[name]
            total += weight
        faces.answers = mean / total
