"""What an exported network is worth: agreement, accuracy, size and time, against float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.benchmarking.timing import time_networks
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.arrays import F32
    from mien.backends import Backend
    from mien.data import Manifest
    from mien.hub import ModelConfig

_BATCH = 64
#: Drawn faces that stand in where no dataset is given: enough for parity, none for accuracy.
_NOISE = 64


@dataclass(frozen=True)
class FormatResult:
    """One exported form of a network, against the float32 network it was made from.

    ``difference`` is the largest of a logit, ``agreement`` the share of faces with the same most
    probable class, ``before`` and ``after`` accuracies (None without a dataset), ``interval``
    Wilson's of 95 %. Times are ms per face; ``refused`` says why it was not written.
    """

    format: str
    file: str
    bytes: int
    difference: float
    agreement: float
    before: float | None
    after: float | None
    interval: tuple[float, float] | None
    faces: int
    ms_32: float = 0.0
    ms_1: float = 0.0
    note: str = ""
    refused: str = ""

    @property
    def drop(self) -> float:
        """By how many points the accuracy fell; below 0 where it rose, 0 without a dataset."""
        if self.before is None or self.after is None:
            return 0.0
        return 100 * (self.before - self.after)


class ParityCheck:
    """Compares networks with a float32 one on faces of one split, or on noise without accuracy."""

    def __init__(
        self,
        reference: Backend,
        config: ModelConfig,
        manifest: Manifest | None = None,
        *,
        split: str = "valid",
    ) -> None:
        from mien.data.faces import load_readable

        p = config.preprocessing
        self._config, self._manifest, self._split = config, manifest, split
        if manifest is None:
            shape = (_NOISE, p.size, p.size, p.channels)
            self._faces = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        else:
            self._manifest, self._faces = load_readable(manifest, p)
        self._reference = reference
        self._logits = self.logits(reference)
        self._before = self._accuracy(self._logits)[0]

    def logits(self, backend: Backend) -> F32:
        """Runs a network over the faces: float32 (N, K)."""
        parts = np.split(self._faces, range(_BATCH, len(self._faces), _BATCH))
        p = self._config.preprocessing
        return np.concatenate([backend.run(normalize(part, p)).logits for part in parts])

    def compare(
        self, backend: Backend, *, name: str, file: str, size: int, note: str = ""
    ) -> FormatResult:
        """Compares a network with the float32 one; times are measured by :meth:`time`."""
        logits = self.logits(backend)
        difference = float(np.abs(logits - self._logits).max())
        agreement = float((logits.argmax(1) == self._logits.argmax(1)).mean())
        scored = self._accuracy(logits)
        return FormatResult(
            name, file, size, difference, agreement, self._before, *scored, len(logits), note=note
        )

    def time(self, backends: Mapping[str, Backend]) -> dict[str, tuple[float, float]]:
        """Returns (ms for one face, ms per face in batches of 32) by name."""
        faces = np.resize(self._faces, (32, *self._faces.shape[1:]))
        batch = normalize(faces, self._config.preprocessing)
        return time_networks({name: (backend, batch) for name, backend in backends.items()})

    def _accuracy(self, logits: F32) -> tuple[float | None, tuple[float, float] | None]:
        if self._manifest is None:
            return None, None
        from mien.evaluation import evaluate_logits

        scores = evaluate_logits(logits, self._config, self._manifest, split=self._split).scores()
        low, high = scores["accuracy_ci"]
        return float(scores["accuracy"]), (float(low), float(high))
