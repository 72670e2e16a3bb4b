"""A job in separate stages: Ray Data reads, prepares and classifies in parallel.

Worth it where the stages want different machines or hardware: many readers before a distant
store, CPUs that decode and detect, a few processes with the network. Encoded pictures and crops
then travel through Ray's object store; Ray Data holds a stage back while the next is behind, so
that what waits between them stays within the store's limits.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.atomic import log_level
from mien.errors import InputError, MienError
from mien.images.source import ImageLimits, read_bytes
from mien.jobs.stores import Fetched, fetch, is_fetched
from mien.jobs.table import PART, POSITION, count, import_arrow, to_table
from mien.jobs.work import Answer, Part, cpus, finish, prepare, worker_recognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mien.jobs.config import JobConfig
    from mien.recognizer import EmotionRecognizer

#: Parts that one execution of the stages takes; their paths are held in memory.
_WAVE = 1000
#: Pictures of one call of a stage.
_READ, _PREPARE = 32, 32
#: Shares of a CPU: all stages must fit on one at once, or one would wait for another for ever.
_READ_CPU, _PREPARE_CPU, _CLASSIFY_CPU = 0.1, 0.6, 0.2
#: Prepared pictures that one classifying process keeps up with, in preparing processes.
_PREPARERS = 8
_WAVES_LOST = 3


def run_stages(
    ray: Any, config: JobConfig, left: Callable[[], Iterator[Part]], carried: list[Any], *,
    recognizer: EmotionRecognizer,
) -> Iterator[Answer]:  # fmt: skip
    """Answers the parts that are left, in waves; see :func:`mien.jobs.engines.run_ray`."""
    lost = 0
    while wave := list(islice(left(), _WAVE)):
        parts = {part.number: part for part in wave}
        for number, table in _wave(ray, config, wave, carried):
            yield finish(parts.pop(number), table, recognizer, worker="stages")
        lost = lost + 1 if parts else 0
        if lost == _WAVES_LOST:
            hint = "Add --resume, or leave --stages split out."
            raise MienError(f"the stages lost parts {lost} times in a row", hint=hint)


def _wave(
    ray: Any, config: JobConfig, wave: list[Part], carried: list[Any]
) -> Iterator[tuple[int, Any]]:
    """Yields the number and the rows of each part that is whole."""
    import ray.data

    workers, actors = cpus(ray, config), ray.data.ActorPoolStrategy
    shared = {"batch_format": "pyarrow"}
    loaded = {
        **shared,
        "fn_constructor_kwargs": {"config": config, "carried": carried, "version": __version__},
    }
    rows = ray.data.from_arrow([_block(part) for part in wave])
    rows = rows.map_batches(
        _read, batch_size=_READ, num_cpus=_READ_CPU, fn_kwargs={"readers": config.readers}, **shared
    )
    rows = rows.map_batches(
        _Preparer, batch_size=_PREPARE, num_cpus=_PREPARE_CPU, compute=actors(size=workers),
        **loaded,
    )  # fmt: skip
    rows = rows.map_batches(
        _Classifier, batch_size=config.batch_size, num_cpus=_CLASSIFY_CPU,
        compute=actors(size=-(-workers // _PREPARERS)), **loaded,
    )  # fmt: skip
    collected = _Collector({part.number: len(part.paths) for part in wave})
    with _quiet(ray.data.DataContext.get_current()), log_level(logging.ERROR, "ray.data"):
        for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from collected.add(table)


@contextmanager
def _quiet(context: Any) -> Iterator[None]:
    """Turns Ray Data's progress bars off until the context ends."""
    names = ("enable_progress_bars", "print_on_execution_start")
    before = {name: getattr(context, name) for name in names}
    try:
        for name in names:
            setattr(context, name, False)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


class _Collector:
    """Puts the rows of parts together, which come in any order; ``sizes`` count their pictures."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self._sizes = sizes
        self._tables: defaultdict[int, list[Any]] = defaultdict(list)
        self._seen: defaultdict[int, int] = defaultdict(int)

    def add(self, table: Any) -> Iterator[tuple[int, Any]]:
        """Adds rows; yields each part that is whole now, its rows in the order of the pictures."""
        pa = import_arrow()
        pc = pa.compute
        for number in pc.unique(table[PART]).to_pylist():
            rows = table.filter(pc.equal(table[PART], number))
            self._tables[number].append(rows)
            self._seen[number] += count(rows)["pictures"]
            if self._seen[number] == self._sizes[number]:
                whole = pa.concat_tables(self._tables.pop(number))
                whole = whole.sort_by([(POSITION, "ascending"), ("face", "ascending")])
                positions = pc.count_distinct(whole[POSITION]).as_py()
                if positions == self._sizes[number]:
                    yield number, whole.drop_columns([PART, POSITION]).combine_chunks()


def _block(part: Part) -> Any:
    pa = import_arrow()
    paths = [os.fsencode(path) for path in part.paths]
    numbers = pa.array([part.number] * len(paths), pa.int32())
    positions = pa.array(range(len(paths)), pa.int32())
    return pa.table({PART: numbers, POSITION: positions, "path": pa.array(paths, pa.binary())})


def _read(table: Any, *, readers: int) -> Any:
    """Puts the encoded picture, or the error, in the place of each path."""
    limits = ImageLimits()

    def get(path: str) -> bytes | InputError:
        if is_fetched(path):
            content = fetch(path, max_bytes=limits.max_bytes)
            return content if isinstance(content, InputError) else content.getvalue()
        try:
            return read_bytes(path, limits=limits)[0]
        except InputError as error:
            return error

    paths = [os.fsdecode(path) for path in table["path"].to_pylist()]
    with ThreadPoolExecutor(readers) as pool:
        return _packed(table, list(zip(paths, pool.map(get, paths), strict=True)))


def _packed(table: Any, items: Sequence[object]) -> Any:
    """Returns part and position of each row, and an object that the next stage unpacks."""
    pa = import_arrow()
    data = pa.array([pickle.dumps(item) for item in items], pa.large_binary())
    return pa.table({PART: table[PART], POSITION: table[POSITION], "item": data})


def _unpacked(table: Any) -> list[Any]:
    # Written by the stage before, in this job's own processes.
    return [pickle.loads(data) for data in table["item"].to_pylist()]  # noqa: S301


class _Stage:
    """Has what its process has loaded once: the model and the detector."""

    def __init__(self, config: JobConfig, carried: list[Any], version: str) -> None:
        self._recognizer = worker_recognizer(config, carried, version)


class _Preparer(_Stage):
    """Decodes, finds faces and crops."""

    def __call__(self, table: Any) -> Any:
        items = []
        for path, content in _unpacked(table):
            data = content if isinstance(content, InputError) else Fetched(content, path)
            items.append(prepare(self._recognizer, path, data))
        return _packed(table, items)


class _Classifier(_Stage):
    """Runs the network."""

    def __call__(self, table: Any) -> Any:
        results = self._recognizer.pipeline.run(_unpacked(table))
        where = zip(table[PART].to_pylist(), table[POSITION].to_pylist(), strict=True)
        return to_table(results, self._recognizer.labels, where)
