"""What a worker does: it loads the model once, then turns each part into a Parquet file's bytes."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien import __version__
from mien.backends import NETWORK_FILES
from mien.errors import ConfigError, InputError
from mien.hub import ASSETS, CONFIG, ONNX, ModelFolder
from mien.jobs.stores import Fetched, fetch, is_fetched
from mien.jobs.table import count, to_parquet, to_table
from mien.pipeline import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.jobs.config import JobConfig
    from mien.recognizer import EmotionRecognizer
    from mien.results import ErrorResult, ImageResult

#: Pictures that wait for a batch of faces to fill, at most.
_MAX_WAITING = 64


class Part(NamedTuple):
    """A piece of a job: small enough to send, to hold and to do again.

    ``number`` counts from 0; ``paths`` are those and the addresses of its pictures.
    """

    job: str
    number: int
    paths: tuple[str, ...]


class Answer(NamedTuple):
    """A part that is done: the bytes of its Parquet file and, in ``notes``, the file's metadata."""

    number: int
    data: bytes
    notes: dict[str, Any]


def finish(part: Part, table: Any, recognizer: EmotionRecognizer, *, worker: str) -> Answer:
    """Turns the rows of a whole part into its file; ``worker`` says who did it."""
    notes = {
        "job": part.job, "part": part.number, **count(table), "worker": worker,
        "model": recognizer.config.name, "detector": recognizer.pipeline.detector.name,
        "prior": recognizer.pipeline.shares,
    }  # fmt: skip
    return Answer(part.number, to_parquet(table, notes), notes)


def fetch_ahead(
    paths: Sequence[str], *, readers: int, max_bytes: int
) -> Iterator[tuple[str, str | Fetched | InputError]]:
    """Yields each path with its picture, or why it cannot be read; paths of files as they are.

    Of a store, ``readers`` objects are read at once, and as many may wait.
    """
    if not any(map(is_fetched, paths)):
        yield from zip(paths, paths, strict=True)
        return

    def get(path: str) -> str | Fetched | InputError:
        return fetch(path, max_bytes=max_bytes) if is_fetched(path) else path

    left = iter(paths)
    waiting: deque[tuple[str, Future[str | Fetched | InputError]]] = deque()
    pool = ThreadPoolExecutor(readers, thread_name_prefix="mien-fetch")
    try:
        while True:
            more = islice(left, 2 * readers - len(waiting))
            waiting.extend((path, pool.submit(get, path)) for path in more)
            if not waiting:
                return
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def prepare(
    recognizer: EmotionRecognizer, path: str, content: str | Fetched | InputError
) -> Prepared:
    """Decodes a picture, finds its faces and crops them; what is wrong with it is its ``error``."""
    if isinstance(content, InputError):
        return Prepared(path, error=content)
    item = recognizer.pipeline.prepare(content)
    item.source, item.origin = path, None
    if item.error is not None and content is not path:
        item.error = item.error.about(repr(path))
    return item


def answer_part(
    recognizer: EmotionRecognizer, part: Part, *, readers: int, worker: str = ""
) -> Answer:
    """Does everything there is to do for a part, in this thread; InputError: the store is gone."""
    pipeline, waiting = recognizer.pipeline, list[Prepared]()
    results: list[ImageResult | ErrorResult] = []
    for path, content in fetch_ahead(
        part.paths, readers=readers, max_bytes=pipeline.limits.max_bytes
    ):
        waiting.append(prepare(recognizer, path, content))
        if sum(map(len, waiting)) >= pipeline.batch_size or len(waiting) >= _MAX_WAITING:
            results += pipeline.run(waiting)
            waiting.clear()
    table = to_table([*results, *pipeline.run(waiting)], recognizer.labels)
    return finish(part, table, recognizer, worker=worker)


def cpus(ray: Any, config: JobConfig) -> int:
    """Returns how many CPUs of the cluster a job uses now."""
    there = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    return min(config.workers, there) if config.workers else there


def pack_model(folder: ModelFolder, backend: str) -> dict[str, bytes]:
    """Returns the files of a model folder that a worker needs, by name; none of a bundled model.

    The key ``""`` holds the name of the network.
    """
    if folder.path.parent == ASSETS:
        return {}
    network = folder.file(NETWORK_FILES[backend]).name
    also = folder.config.files.get(network, {}).get("with", ())
    names = [CONFIG, network, *map(str, also)]
    named = folder.network if folder.network != ONNX else ""
    return {"": named.encode(), **{name: (folder.path / name).read_bytes() for name in names}}


def worker_recognizer(config: JobConfig, carried: list[Any], version: str) -> EmotionRecognizer:
    """Returns the recognizer of this process, loaded for its first task."""
    if version != __version__:
        reason = f"the job runs with mien {version}, but a machine of the cluster has {__version__}"
        raise ConfigError(reason, hint=f'Type there: pip install "mien[jobs]=={version}"')
    return _loaded(config, carried[0])


@lru_cache(maxsize=1)
def _loaded(config: JobConfig, files: Any) -> EmotionRecognizer:
    import ray

    content = ray.get(files)
    if not content:
        return config.open_recognizer()
    folder = Path(tempfile.mkdtemp(prefix="mien-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, data in content.items():
        if name:
            (folder / name).write_bytes(data)
    return config.open_recognizer(folder / content[""].decode())
