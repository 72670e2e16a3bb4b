"""Running a job: open it, work through what is left, and tell what came out."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.backends import NETWORK_FILES
from mien.errors import MienError
from mien.hub import sha256
from mien.jobs.config import JobConfig
from mien.jobs.engines import run_local, run_ray
from mien.jobs.inputs import check_sources, list_sources
from mien.jobs.job import SUMMARY, Job
from mien.jobs.outputs import open_output_store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from mien.jobs.work import Answer
    from mien.recognizer import EmotionRecognizer


@dataclass(frozen=True)
class JobSummary:
    """What a finished job holds.

    Args:
        output: Folder or address of the results.
        pictures: Pictures in the input; each has a row at least.
        faces: Faces in all of them.
        failed: Pictures that could not be read; their rows say why.
        parts: Parquet files.
        resumed: Pictures that earlier runs of the job had done.
        seconds: How long this run took.
        pictures_per_s: Pictures of this run per second.
    """

    output: str
    pictures: int
    faces: int
    failed: int
    parts: int
    resumed: int
    seconds: float
    pictures_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the values, in the order of the fields."""
        return asdict(self)

    @property
    def all_failed(self) -> bool:
        """Whether no picture could be read: then something else than the pictures is wrong."""
        return 0 < self.pictures == self.failed

    def lines(self) -> list[str]:
        """Returns what a person reads at the end."""
        head = f"{self.pictures:,} pictures, {self.faces:,} faces, {self.failed:,} failed"
        speed = f"{self.pictures_per_s:,.1f} pictures/s over {self.seconds:,.1f} s"
        before = f", {self.resumed:,} were done before" if self.resumed else ""
        return [head, f"{speed}{before}", f"{self.output}: {self.parts:,} Parquet file(s)"]


class OpenJob:
    """A job that is begun or resumed, ready to run; made by :func:`open_job`."""

    def __init__(
        self, job: Job, config: JobConfig, recognizer: EmotionRecognizer, left_out: Counter[str]
    ) -> None:
        self._job, self._config, self._recognizer = job, config, recognizer
        self.left_out = left_out
        self.pictures: int = job.pictures
        self.done: int = job.counts()["pictures"]

    def run(self, progress: Callable[[int], None] | None = None) -> JobSummary:
        """Does what is left and writes the summary; see :func:`predict_files`."""
        job, start = self._job, time.perf_counter()
        with closing(self._answers()) as answers:
            for answer in answers:
                job.save(answer)
                if progress is not None:
                    progress(int(answer.notes["pictures"]))
        seconds = time.perf_counter() - start
        counts = job.counts()
        if len(job.done) != job.parts or counts["pictures"] != job.pictures:
            reason = f"misses {job.parts - len(job.done)} of {job.parts} parts"
            raise MienError(reason, subject=job.output, hint="Add --resume.")
        summary = JobSummary(
            output=job.output, **counts, parts=job.parts, resumed=self.done,
            seconds=round(seconds, 3),
            pictures_per_s=round((job.pictures - self.done) / max(seconds, 1e-9), 3),
        )  # fmt: skip
        job.store.write(SUMMARY, json.dumps(summary.to_dict(), indent=2).encode() + b"\n")
        return summary

    def _answers(self) -> Generator[Answer, None, None]:
        job, config = self._job, self._config
        if len(job.done) == job.parts:
            return
        if config.engine == "ray":
            yield from run_ray(config, job.left, recognizer=self._recognizer)
        else:
            yield from run_local(config, job.left(), recognizer=self._recognizer)


@contextmanager
def open_job(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    config: JobConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[OpenJob]:
    """Begins a job or finds out how far it is, and yields it; see :func:`predict_files`."""
    config = config or JobConfig()
    given = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    words = [os.fspath(word) for word in given]
    store = open_output_store(os.fspath(output))
    named = check_sources(words)
    recognizer, left_out = config.open_recognizer(), Counter[str]()
    with ExitStack() as stack:
        job = Job(store, os.fspath(output), stack)
        job.begin(
            identity_of(named, recognizer, config), list_sources(words, left_out),
            part_size=config.part_size, resume=resume, overwrite=overwrite,
        )  # fmt: skip
        yield OpenJob(job, config, recognizer, left_out)


def predict_files(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    config: JobConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> JobSummary:
    """Reads all pictures of folders, lists or stores into a folder of Parquet files.

    Args:
        sources: Folders, pictures, patterns, addresses such as ``s3://bucket/prefix``,
            datasets (``hf:ORG/NAME`` or ``hf:FOLDER``), or list files with one path or address per
            line.
        output: A folder or an address; it is made.
        config: Engine, model and sizes; None: the defaults.
        resume: Go on with the job that lies in ``output``; begin it where there is none.
        overwrite: Drop the job that lies in ``output``, and begin again.
        progress: Called with the number of pictures just done.

    Returns:
        What the job holds.

    Raises:
        ConfigError: If the output exists and may not be touched, or its job is another one.
        InputError: If the input cannot be listed, is empty, or its store stops answering.
        ModelError: If the model or detector cannot be loaded.
        MissingExtraError: If a library is not installed.
        MienError: If the output cannot be written, or a worker is killed.

    >>> import tempfile
    >>> from mien.hub import ASSETS
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     config = JobConfig(workers=1)
    ...     summary = predict_files([ASSETS / "sample"], folder + "/out.parquet", config=config)
    >>> summary.pictures, summary.faces
    (1, 1)
    """
    with open_job(sources, output, config=config, resume=resume, overwrite=overwrite) as job:
        return job.run(progress)


def identity_of(
    sources: Sequence[str], recognizer: EmotionRecognizer, config: JobConfig
) -> dict[str, Any]:
    """Returns what the answers depend on: the sources, the networks, every setting that counts."""
    folder = recognizer.folder
    network = folder.file(NETWORK_FILES[config.backend])
    meaning = hashlib.sha256(json.dumps(folder.config.to_dict(), sort_keys=True).encode())
    return {
        "mien": __version__, "sources": list(sources),
        "model": [folder.config.name, sha256(network), meaning.hexdigest()],
        "detector": recognizer.pipeline.detector.fingerprint, "labels": list(recognizer.labels),
        "backend": config.backend, "min_score": config.min_score, "min_face": config.min_face,
        "max_faces": config.max_faces, "part_size": config.part_size,
        "prior": recognizer.pipeline.shares,
    }  # fmt: skip
