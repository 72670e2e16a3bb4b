"""The members of an ensemble: opened, checked against each other, and run over faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ConfigError
from mien.metrics import log_softmax
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data import Manifest

_CHUNK = 2048


def open_members(models: Sequence[str | Path], *, threads: int = 0) -> list[EmotionRecognizer]:
    """Opens model folders that can form an ensemble.

    Args:
        models: Two folders or bundled names, or more.
        threads: Threads inside one network run.

    Raises:
        ConfigError: If there are too few, labels, crop margin or alignment differ, or one of
            several sizes wants lanczos.
        ModelError: If one cannot be loaded.
    """
    if len(models) < 2:
        raise ConfigError(f"an ensemble needs two models or more; got {len(models)}.")
    members = [EmotionRecognizer(m, detector="none", threads=threads) for m in models]
    first = members[0].config
    own = first.preprocessing
    for name, member in zip(models[1:], members[1:], strict=True):
        config = member.config
        its = config.preprocessing
        for what, one, other in (
            ("labels", first.schema.labels, config.schema.labels),
            ("crop margin", first.crop_margin, config.crop_margin),
            ("alignment", own.align, its.align),
        ):
            if one != other:
                raise ConfigError(
                    (
                        f"and {name} cannot form one network: their {what} is {_shown(one)} and "
                        f"{_shown(other)}"
                    ),
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


def _shown(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else repr(value)


def member_log_probs(
    members: Sequence[EmotionRecognizer],
    part: Manifest,
    *,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Runs each member over N ready faces with its own preprocessing.

    Args:
        members: M models with K labels.
        part: N pictures.
        progress: Called with the number of faces just finished, by member.

    Returns:
        float64 (N, M, K), calibrated log-probabilities.

    Raises:
        DataError: If a picture cannot be read.
    """
    from mien.data.faces import load_faces

    found = np.zeros((len(part), len(members), len(members[0].config.schema)))
    for start in range(0, len(part), _CHUNK):
        chunk = part.select(np.arange(start, min(start + _CHUNK, len(part))))
        crops = {p: load_faces(chunk, p) for p in {m.config.preprocessing for m in members}}
        for index, member in enumerate(members):
            logits = member.pipeline.logits(crops[member.config.preprocessing])
            rows = log_softmax(logits, temperature=member.config.temperature)
            found[start : start + len(chunk), index] = rows
            if progress:
                progress(len(chunk))
    return found
