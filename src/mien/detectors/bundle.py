"""What belongs to the detector's network: threshold, framing, scales; kept beside it as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.detectors.framing import Framing
from mien.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
FOLDER = Path(__file__).parents[1] / "assets" / "detector"
#: Not config.json, which would make the folder look like a model of expressions.
CONFIG, NETWORK, VERIFIER = "detector.json", "detector.onnx", "verifier.onnx"
#: The network takes sides that are multiples of this, in pixels.
MULTIPLE = 32


@dataclass(frozen=True)
class VerifyConfig:
    """What belongs to the second network, which judges what the first one proposes.

    Args:
        propose: Lowest score of the first network for a box to be judged, 0..1.
        min_score: Lowest score of the second to report, 0..1.
        sha256: Of the network's file.
        data: What it was trained on, in a sentence.

    Raises:
        ConfigError: If a number is out of range.
    """

    propose: float
    min_score: float
    sha256: str = ""
    data: str = "unknown"

    def __post_init__(self) -> None:
        if not (0 < self.propose < 1 and 0 < self.min_score < 1):
            raise ConfigError(
                f"propose and min_score lie between 0 and 1; got {self.propose} and "
                f"{self.min_score}."
            )


@dataclass(frozen=True)
class DetectorConfig:
    """What belongs to a detector's network; stored beside it as ``detector.json``.

    Args:
        min_score: Lowest score to report, 0..1.
        framing: How its boxes relate to the framing that mien's models expect.
        max_side: Longer side, in pixels, at which large photos are looked at.
        zoom: Most that a picture smaller than half of ``max_side`` is enlarged for a second look,
            up to 0.7 of ``max_side``; 1 leaves that look out.
        coarse: Factor on the size of the look for the largest faces; 0 leaves it out.
        large_face: Smallest face, in pixels of the look, that a look for large faces may report;
            the look for small ones reports faces below four times that.
        iou: Overlap above which the less sure box goes.
        sha256: Of the network's file.
        license: Of the weights.
        data: What they were trained on, in a sentence.
        metrics: Numbers from the evaluation.
        verify: Of the second network, or None where the folder holds none.

    Raises:
        ConfigError: If a number is out of range.
    """

    min_score: float
    framing: Framing
    max_side: int = 640
    zoom: float = 2.0
    coarse: float = 0.25
    large_face: float = 40.0
    iou: float = 0.3
    sha256: str = ""
    license: str = "unknown"
    data: str = "unknown"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    verify: VerifyConfig | None = None

    def __post_init__(self) -> None:
        if not (0 < self.min_score < 1 and 0 < self.iou < 1 and 0 <= self.coarse < 1):
            raise ConfigError(
                f"min_score and iou lie between 0 and 1, coarse from 0 to below 1; got "
                f"{self.min_score}, {self.iou}, {self.coarse}."
            )
        if not (MULTIPLE <= self.max_side <= 4096 and 1 <= self.zoom <= 8):
            raise ConfigError(
                f"max_side lies from {MULTIPLE} to 4096 and zoom from 1 to 8; got "
                f"{self.max_side} and {self.zoom}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of ``detector.json``."""
        return {"format": FORMAT, **asdict(self), "metrics": dict(self.metrics)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DetectorConfig:
        """Builds it from the content of ``detector.json``.

        Raises:
            ConfigError: If it is damaged or from a newer version.
        """
        try:
            values = {key: item for key, item in value.items() if key != "format"}
            if value["format"] != FORMAT:
                raise ConfigError(
                    f"has format {value['format']!r}; this version reads {FORMAT}", subject=CONFIG
                )
            if values.get("verify") is not None:
                values["verify"] = VerifyConfig(**values["verify"])
            return cls(**{**values, "framing": Framing(**values["framing"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"is damaged: {error!r}", subject=CONFIG) from error


def read_bundle(folder: Path = FOLDER) -> DetectorConfig:
    """Reads ``detector.json`` of a folder.

    Raises:
        ModelError: If it is missing or cannot be used.
    """
    path = folder / CONFIG
    try:
        return DetectorConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", subject=path) from error
    except (ValueError, ConfigError) as error:
        raise ModelError(f"cannot be used: {error}", subject=path) from error
