"""How photos are read, one by one or as a job.

Nothing heavy is imported here, so that the command line can know a job from a few photos.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.config import Config, from_one, from_zero, one_of, option, share
from mien.detectors import DEFAULT_DETECTOR
from mien.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from mien.recognizer import EmotionRecognizer

#: Ending of an output that is a job's.
RESULTS_SUFFIX = ".parquet"


@dataclass(frozen=True, kw_only=True)
class JobConfig(Config):
    """Everything that decides how photos are read, and how a job reads many.

    Raises:
        ConfigError: If a value is unknown, out of range, or does not go with another.

    >>> JobConfig(engine="local").part_size
    250
    """

    model: str | None = option(None, "Model folder or bundled name.", short="-m")
    detector: str = option(
        DEFAULT_DETECTOR, "Face detector: NAME or NAME:FILE; none: pictures are faces already."
    )
    labels: str | None = option(None, "Answer in hes3, fer7 or ferplus8.")
    prior: str | None = option(
        None, "Shares of labels to answer for: natural, balanced, or LABEL=SHARE,…; none: the "
        "model's.",
    )  # fmt: skip
    backend: str = one_of("What runs the network", "onnx", "torch")
    device: str = option("auto", "auto, cpu, cuda or cuda:1.")
    batch_size: int = from_one(64, "Faces per network run.", high=100_000, short="-b")
    min_score: float | None = share(None, "Lowest detection score of a face; none: the detector's.")
    min_face: int | None = from_one(None, "Smallest face that is detected, pixels.")
    max_faces: int | None = from_one(None, "Most faces per picture or frame; none: all.")
    workers: int = from_zero(
        0, "Pictures at once, one thread each (a job: one process); 0: all cores.", high=100_000,
        short="-j",
    )  # fmt: skip
    engine: str | None = option(
        None, "Jobs: local (processes, the default) or ray; starts a job.", choices=("local", "ray")
    )
    address: str | None = option(
        None, "Jobs: Ray cluster: auto, HOST:PORT or ray://HOST:PORT; none: Ray on this machine."
    )
    stages: str = one_of("Jobs: split runs stages of Ray Data", "fused", "split")
    part_size: int = from_one(
        250, "Jobs: pictures per part and file, what a killed job repeats at most.", high=10**9
    )
    readers: int = from_one(
        8, "Pictures that a worker fetches from a store at once.", high=1024, flag=None
    )
    object_store_mb: int = option(
        512, "Memory that Ray's processes share here, megabytes (10^6).", low=80, flag=None
    )
    imports: tuple[str, ...] = option(
        (), "Module or .py file with code of your own to register; repeat it.", flag="--import"
    )

    def check(self) -> None:
        """Refuses what only Ray can do, without Ray."""
        if self.engine != "ray":
            for name, given in (("address", self.address), ("stages", self.stages == "split")):
                if given:
                    raise ConfigError("is for Ray: add --engine ray, or leave it out", subject=name)

    @property
    def processes(self) -> int:
        """Workers on this machine."""
        return self.workers or os.cpu_count() or 1

    def open_recognizer(
        self, model: str | Path | None = None, *, threads: int = 1
    ) -> EmotionRecognizer:
        """Opens model and detector.

        Args:
            model: Where the model lies on this machine; None: where the config says.
            threads: Threads of each, 1 since workers are many; 0: all cores.
        """
        from mien.config import import_plugins
        from mien.detectors import get_detector
        from mien.priors import parse_prior
        from mien.recognizer import EmotionRecognizer

        import_plugins(self.imports)
        names = ("labels", "backend", "device", "batch_size", "min_face", "max_faces", "min_score")
        return EmotionRecognizer(
            model or self.model,
            detector=get_detector(self.detector, threads=threads),
            threads=threads,
            prior=parse_prior(self.prior),
            **{name: getattr(self, name) for name in names},
        )


def is_results_name(path: str | os.PathLike[str]) -> bool:
    """Says whether an output's name is that of a job's results.

    >>> is_results_name("out/results.parquet"), is_results_name("out")
    (True, False)
    """
    return str(path).rstrip("/").lower().endswith(RESULTS_SUFFIX)
