"""The members of an ensemble: opened, checked against each other, and run over faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.faces import chunks, load_faces
from mien.errors import ConfigError
from mien.metrics import log_softmax
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.arrays import F64
    from mien.data import Manifest
    from mien.hub import ModelConfig


def open_members(models: Sequence[str | Path]) -> list[EmotionRecognizer]:
    """Opens model folders, and refuses those that cannot form an ensemble."""
    if len(models) < 2:
        raise ConfigError(f"an ensemble needs two models or more; got {len(models)}.")
    members = [EmotionRecognizer(m, detector="none") for m in models]
    wanted = _shared(members[0].config)
    for name, member in zip(models[1:], members[1:], strict=True):
        for what, value in _shared(member.config).items():
            if value != wanted[what]:
                raise ConfigError(
                    f"and {name} cannot form one network: their {what} is {wanted[what]} and "
                    f"{value}",
                    subject=f"{models[0]}",
                    hint="Leave one out, or train it anew with the other's.",
                )
    inputs = [member.config.preprocessing for member in members]
    sizes = {each.size for each in inputs}
    if len(sizes) > 1 and any(each.interpolation == "lanczos" for each in inputs):
        raise ConfigError(
            f"members of sizes {sorted(sizes)} are resized inside the network, which ONNX does not "
            "do with lanczos: take members of one size, or of bilinear or bicubic interpolation."
        )
    return members


def _shared(config: ModelConfig) -> dict[str, str]:
    """Returns what all members must have in common, as text."""
    labels, align = " ".join(config.schema.labels), repr(config.preprocessing.align)
    return {"labels": labels, "crop margin": repr(config.crop_margin), "alignment": align}


def member_log_probs(
    members: Sequence[EmotionRecognizer],
    part: Manifest,
    *,
    progress: Callable[[int], None] | None = None,
) -> F64:
    """Returns M members' calibrated log-probabilities (N, M, K) of N ready faces."""
    rows: list[list[F64]] = [[] for _ in members]
    for chunk in chunks(part):
        crops = {p: load_faces(chunk, p) for p in {m.config.preprocessing for m in members}}
        for found, member in zip(rows, members, strict=True):
            logits = member.pipeline.logits(crops[member.config.preprocessing])
            found.append(log_softmax(logits, temperature=member.config.temperature))
            if progress:
                progress(len(chunk))
    return np.stack([np.concatenate(found) for found in rows], axis=1)
