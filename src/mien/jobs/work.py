"""What a worker does: the pictures of a part in, the bytes of its Parquet file out."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.errors import InputError
from mien.jobs.stores import fetch, is_address
from mien.jobs.table import Rows, count, to_parquet
from mien.pipeline import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mien.jobs.stores import Fetched
    from mien.recognizer import EmotionRecognizer

#: Pictures that wait for a batch of faces to fill, at most.
_MAX_WAITING = 64


@dataclass(frozen=True)
class Part:
    """A piece of a job: small enough to send, to hold and to do again.

    Args:
        job: Identifier of the job, which its file will name.
        number: 0 for the first.
        paths: Paths and addresses of its pictures.
    """

    job: str
    number: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A part that is done.

    Args:
        number: The part's number.
        data: The bytes of its Parquet file.
        notes: The file's metadata: job, part and counts.
    """

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

    Raises:
        InputError: If a store does not answer any more.
    """
    if not any(map(is_address, paths)):
        yield from zip(paths, paths, strict=True)
        return

    def get(path: str) -> str | Fetched | InputError:
        return fetch(path, max_bytes=max_bytes) if is_address(path) else path

    with ThreadPoolExecutor(readers, thread_name_prefix="mien-fetch") as pool:
        waiting: deque[tuple[str, Future[str | Fetched | InputError]]] = deque()
        try:
            for path in paths:
                if len(waiting) >= 2 * readers:
                    first, future = waiting.popleft()
                    yield first, future.result()
                waiting.append((path, pool.submit(get, path)))
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


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
    """Does everything there is to do for one part, in this thread.

    Raises:
        InputError: If a store does not answer any more.
    """
    pipeline, rows = recognizer.pipeline, Rows(recognizer.labels)
    waiting: list[Prepared] = []

    def classify() -> None:
        for result in pipeline.run(waiting):
            rows.add(result)
        waiting.clear()

    for path, content in fetch_ahead(
        part.paths, readers=readers, max_bytes=pipeline.limits.max_bytes
    ):
        waiting.append(prepare(recognizer, path, content))
        if sum(map(len, waiting)) >= pipeline.batch_size or len(waiting) >= _MAX_WAITING:
            classify()
    classify()
    return finish(part, rows.table(), recognizer, worker=worker)
