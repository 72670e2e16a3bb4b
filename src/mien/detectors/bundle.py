"""What belongs to the detector's networks: scales, threshold, framing; stored next to them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.detectors.framing import Framing
from mien.detectors.scales import ScaleRules
from mien.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.arrays import F32

FORMAT = 4
FOLDER = Path(__file__).parents[1] / "assets" / "detector"
#: Not config.json, which would make the folder look like a model of expressions.
CONFIG, NETWORK, REFINER = "detector.json", "detector.onnx", "refiner.onnx"
LANDMARKS = "landmarks.onnx"


@dataclass(frozen=True)
class Calibration:
    """From the logits of both stages to a probability.

    ``sigmoid(detector * first + refiner * second + offset)``, fitted by logistic regression (Platt,
    "Probabilistic outputs for support vector machines", 1999).

    >>> Calibration(0.5, 0.5, 0.0).scores(np.float32([0, 2]), np.float32([0, 2])).round(2).tolist()
    [0.5, 0.8799999952316284]
    """

    detector: float
    refiner: float
    offset: float

    def scores(self, first: F32, second: F32) -> F32:
        """Returns probabilities (N,), 0..1, of logits (N,) and (N,)."""
        total = self.detector * first.astype(np.float64) + self.refiner * second + self.offset
        return (1 / (1 + np.exp(-np.clip(total, -60, 60)))).astype(np.float32)


@dataclass(frozen=True)
class DetectorConfig:
    """What belongs to the detector's networks; stored as ``detector.json``.

    The second stage examines proposals of a logit from ``propose``, in crops whose side is
    ``context`` times theirs and ``crop_size`` pixels; ``refined`` is the weight of its boxes and
    landmarks, 0..1. The third one places landmarks in crops of ``mark_size`` pixels, of a side
    ``mark_context`` times a box's; ``marked`` is the weight of its own. Above an overlap of
    ``iou``, or a share ``inside`` of the smaller box in the other, the less confident box goes.
    ``sha256`` is by file name; ``license`` and ``data`` tell of the weights.
    """

    min_score: float
    framing: Framing
    calibration: Calibration
    scales: ScaleRules = field(default_factory=ScaleRules)
    propose: float = -1.0
    context: float = 1.5
    crop_size: int = 40
    refined: float = 0.4
    mark_context: float = 1.3
    mark_size: int = 48
    marked: float = 0.8
    iou: float = 0.4
    inside: float = 0.7
    sha256: Mapping[str, str] = field(default_factory=dict)
    license: str = "unknown"
    data: str = "unknown"
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < self.min_score < 1 and 0 < self.iou < 1):
            raise ConfigError(
                f"min_score and iou must lie between 0 and 1; got {self.min_score} and {self.iou}."
            )
        contexts, weights = (self.context, self.mark_context), (self.refined, self.marked)
        sound = all(1 <= each <= 4 for each in contexts) and all(0 <= each <= 1 for each in weights)
        if not (math.isfinite(self.propose) and sound):
            raise ConfigError(
                "propose must be a number, context and mark_context must lie from 1 to 4, refined "
                f"and marked from 0 to 1; got {self.propose}, {contexts} and {weights}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of ``detector.json``."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DetectorConfig:
        """Builds it from the content of ``detector.json``."""
        try:
            values = {key: item for key, item in value.items() if key != "format"}
            if value["format"] != FORMAT:
                reason = f"has format {value['format']!r}; this version reads {FORMAT}"
                raise ConfigError(reason, subject=CONFIG)
            parts = {"framing": Framing, "calibration": Calibration, "scales": ScaleRules}
            built = {key: kind(**values[key]) for key, kind in parts.items()}
            return cls(**{**values, **built})
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"is damaged: {error!r}", subject=CONFIG) from error


def read_bundle(folder: Path = FOLDER) -> DetectorConfig:
    """Reads ``detector.json`` of a folder."""
    path = folder / CONFIG
    try:
        return DetectorConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", subject=path) from error
    except (ValueError, ConfigError) as error:
        raise ModelError(f"cannot be used: {error}", subject=path) from error
