"""How a job runs: one dataclass whose fields are the arguments and the flags.

Nothing heavy is imported here, so that the command line can know a job from a few photos.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mien.detectors import DEFAULT_DETECTOR
from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from pathlib import Path

    from mien.recognizer import EmotionRecognizer

ENGINES = ("local", "ray")
STAGES = ("fused", "split")
#: Ending of an output that is a job's.
RESULTS_SUFFIX = ".parquet"


def _option(default: Any, help_text: str, low: int | None = None, high: int = 10**9) -> Any:
    return field(default=default, metadata={"help": help_text, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """Everything that decides how a job runs. Each field's help is its documentation.

    Raises:
        ConfigError: If a value is unknown, out of range, or does not go with another.

    >>> JobConfig(engine="local").part_size
    250
    """

    engine: str = _option("local", "local: processes of this machine; ray: Ray's tasks.")
    address: str | None = _option(
        None, "Ray cluster: auto, HOST:PORT or ray://HOST:PORT; none: Ray on this machine alone."
    )
    stages: str = _option(
        "fused",
        "fused: each task reads, decodes, detects and classifies a part; split: Ray Data runs "
        "these as separate stages.",
    )
    workers: int = _option(0, "Processes, or CPUs that Ray may use; 0: all cores.", 0, 100_000)
    part_size: int = _option(250, "Pictures per part: what a killed job repeats at most.", 1)
    model: str | None = _option(None, "Model folder or bundled name.")
    detector: str = _option(DEFAULT_DETECTOR, "Face detector; none: pictures are faces already.")
    labels: str | None = _option(None, "Labels to answer in: a schema.")
    backend: str = _option("onnx", "onnx or torch.")
    batch_size: int = _option(64, "Faces per network run.", 1, 100_000)
    min_face: int | None = _option(None, "Smallest face to find, pixels.", 1)
    readers: int = _option(8, "Pictures that a worker fetches from a store at once.", 1, 1024)
    object_store_mb: int = _option(
        512, "Memory for what Ray's processes share on this machine, megabytes (10^6).", 80
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value, low, high = getattr(self, item.name), item.metadata["low"], item.metadata["high"]
            if low is None or (value is None and item.default is None):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(
                    f"must be a whole number of at least {low} and at most {high}; got {value!r}",
                    subject=item.name,
                )
        for name, known in (("engine", ENGINES), ("stages", STAGES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name} {getattr(self, name)!r} is unknown."
                    + suggest(str(getattr(self, name)), known)
                )
        if self.engine != "ray":
            for name, given in (("address", self.address), ("stages", self.stages == "split")):
                if given:
                    raise ConfigError("is for Ray: add --engine ray, or leave it out", subject=name)

    @property
    def processes(self) -> int:
        """Workers on this machine."""
        return self.workers or os.cpu_count() or 1

    def to_dict(self) -> dict[str, Any]:
        """Returns the values, in the order of the fields."""
        return asdict(self)

    def open_recognizer(self, model: str | Path | None = None) -> EmotionRecognizer:
        """Opens model and detector for one worker: a single thread in each, as workers are many.

        Args:
            model: Where the model lies on this machine; None: where the job says.

        Raises:
            ConfigError: If a name is unknown.
            ModelError: If the model or detector cannot be loaded.
        """
        from mien.detectors import get_detector
        from mien.recognizer import EmotionRecognizer

        return EmotionRecognizer(
            model or self.model,
            detector=get_detector(self.detector, threads=1),
            labels=self.labels,
            backend=self.backend,
            threads=1,
            batch_size=self.batch_size,
            min_face=self.min_face,
        )


def is_results_name(path: str | os.PathLike[str]) -> bool:
    """Says whether an output's name is that of a job's results.

    >>> is_results_name("out/results.parquet"), is_results_name("out")
    (True, False)
    """
    return str(path).rstrip("/").lower().endswith(RESULTS_SUFFIX)
