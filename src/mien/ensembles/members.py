"""The members of an ensemble: opened, checked against each other, and run over faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.faces import load_chunks
from mien.errors import ConfigError
from mien.metrics import log_softmax
from mien.priors import reweigh
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.arrays import F64
    from mien.data import Manifest
    from mien.errors import DataError
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


def common_shares(configs: Sequence[ModelConfig]) -> F64 | None:
    """Returns the shares (K,) of labels that all members answer for before they are mixed.

    A mean of probabilities under different priors is a probability under none of them. So each
    member is first brought to the mean of the shares that they answer for alone, which are also
    those that their plain mean has over many faces. None: a member does not say what it holds.
    """
    priors = [config.prior for config in configs if config.prior is not None]
    if len(priors) < len(configs):
        return None
    shares: F64 = np.mean([prior.answered for prior in priors], axis=0)
    return shares


def log_ratio(config: ModelConfig, shares: F64 | None) -> F64 | None:
    """Returns (K,), what brings a member's log-probabilities to the shares; None: nothing does."""
    return None if config.prior is None else config.prior.log_ratio(shares)


def member_probs(config: ModelConfig, log_probs: F64, shares: F64 | None) -> F64:
    """Returns a member's probabilities (N, K) as it answers alone; ``shares``: those inside."""
    probs = np.exp(log_probs)
    if shares is None or config.prior is None:
        return probs
    return reweigh(probs, shares, config.prior.answered)


def member_log_probs(
    members: Sequence[EmotionRecognizer],
    part: Manifest,
    shares: F64 | None,
    *,
    progress: Callable[[int], None] | None = None,
    damaged: dict[int, DataError] | None = None,
) -> F64:
    """Returns M members' calibrated log-probabilities (N, M, K) of N ready faces.

    ``shares`` are those of :func:`common_shares`, ``damaged`` that of
    :func:`mien.data.faces.load_faces`.
    """
    rows: list[list[F64]] = [[] for _ in members]
    inputs = {member.config.preprocessing for member in members}
    for chunk, crops in load_chunks(part, inputs, damaged):
        for found, member in zip(rows, members, strict=True):
            logits = member.pipeline.logits(crops[member.config.preprocessing])
            logs = log_softmax(logits, temperature=member.config.temperature)
            ratio = log_ratio(member.config, shares)
            found.append(logs if ratio is None else log_softmax(logs + ratio))
            if progress:
                progress(len(chunk))
    return np.stack([np.concatenate(found) for found in rows], axis=1)
