"""A job in stages of their own: Ray Data reads, prepares and classifies side by side.

Worth it where the stages want different machines or hardware: many readers before a distant
store, CPUs that decode and detect, a few processes with the network. Encoded pictures and crops
then travel through Ray's object store; Ray Data holds a stage back while the next is behind, so
that what waits between them stays within the store's limits.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import __version__
from mien.detectors import Detections
from mien.errors import InputError, MienError
from mien.images.source import ImageLimits, read_bytes
from mien.jobs.cluster import cpus, worker_recognizer
from mien.jobs.stores import Fetched, fetch, is_address
from mien.jobs.table import PART, POSITION, Rows, classify, count, import_arrow
from mien.jobs.work import finish, prepare
from mien.pipeline import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.jobs.config import ScaleConfig
    from mien.jobs.work import Answer, Part
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
    ray: Any,
    config: ScaleConfig,
    left: Callable[[], Iterator[Part]],
    carried: list[Any],
    *,
    recognizer: EmotionRecognizer,
) -> Iterator[Answer]:
    """Answers the parts that are left, in waves; see :func:`mien.jobs.cluster.run_ray`.

    Raises:
        MienError: If parts are missing after several waves.
    """
    lost = 0
    while wave := list(islice(left(), _WAVE)):
        seen = 0
        for answer in _wave(ray, config, wave, carried, recognizer):
            seen += 1
            yield answer
        lost = 0 if seen == len(wave) else lost + 1
        if lost == _WAVES_LOST:
            raise MienError(
                f"the stages lost parts {lost} times in a row: type the command with --resume, "
                "or without --stages split."
            )


def _wave(
    ray: Any, config: ScaleConfig, wave: list[Part], carried: list[Any],
    recognizer: EmotionRecognizer,
) -> Iterator[Answer]:  # fmt: skip
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    workers = cpus(ray, config)
    given = {"config": config, "carried": carried, "version": __version__}
    rows = (
        ray.data.from_arrow([_block(part) for part in wave])
        .map_batches(
            _read, batch_size=_READ, batch_format="pyarrow", num_cpus=_READ_CPU,
            fn_kwargs={"readers": config.readers},
        )
        .map_batches(
            _Preparer, fn_constructor_kwargs=given, batch_size=_PREPARE, batch_format="pyarrow",
            num_cpus=_PREPARE_CPU, compute=ray.data.ActorPoolStrategy(size=workers),
        )
        .map_batches(
            _Classifier, fn_constructor_kwargs=given, batch_size=config.batch_size,
            batch_format="pyarrow", num_cpus=_CLASSIFY_CPU,
            compute=ray.data.ActorPoolStrategy(size=-(-workers // _PREPARERS)),
        )
    )  # fmt: skip
    parts = {part.number: part for part in wave}
    collected = _Collector({part.number: len(part.paths) for part in wave})
    for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
        for number, whole in collected.add(table):
            yield finish(parts[number], whole, recognizer, worker="stages")


class _Collector:
    """Puts the rows of parts together, which come in any order.

    Args:
        sizes: Pictures of each part.
    """

    def __init__(self, sizes: dict[int, int]) -> None:
        self._sizes = sizes
        self._tables: defaultdict[int, list[Any]] = defaultdict(list)
        self._seen: defaultdict[int, int] = defaultdict(int)

    def add(self, table: Any) -> Iterator[tuple[int, Any]]:
        """Adds rows; yields each part that is whole now, its rows in the order of the pictures."""
        import pyarrow as pa
        import pyarrow.compute as pc

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
    return pa.table(
        {
            PART: pa.array([part.number] * len(paths), pa.int32()),
            POSITION: pa.array(range(len(paths)), pa.int32()),
            "path": pa.array(paths, pa.binary()),
        }
    )


def _read(table: Any, *, readers: int) -> Any:
    """Adds ``data``, the encoded pictures, and ``error``."""
    pa = import_arrow()
    limits = ImageLimits()

    def get(raw: bytes) -> tuple[bytes | None, str | None]:
        path = os.fsdecode(raw)
        try:
            if not is_address(path):
                return read_bytes(path, limits=limits)[0], None
            content = fetch(path, max_bytes=limits.max_bytes)
        except InputError as error:
            if is_address(path):
                raise
            return None, str(error)
        return (None, str(content)) if isinstance(content, InputError) else (content.read(), None)

    with ThreadPoolExecutor(readers) as pool:
        found = list(pool.map(get, table["path"].to_pylist()))
    return table.append_column("data", pa.array([data for data, _ in found], pa.large_binary())
        ).append_column("error", pa.array([error for _, error in found], pa.string()))  # fmt: skip


class _Preparer:
    """Decodes, finds faces and crops; loads the detector once."""

    def __init__(self, config: ScaleConfig, carried: list[Any], version: str) -> None:
        self._recognizer = worker_recognizer(config, carried, version)

    def __call__(self, table: Any) -> Any:
        pa = import_arrow()
        columns: dict[str, list[Any]] = {
            name: [] for name in ("size", "boxes", "scores", "crops", "error")
        }
        for raw, data, error in zip(
            *(table[name].to_pylist() for name in ("path", "data", "error")), strict=True
        ):
            path = os.fsdecode(raw)
            content = InputError(error) if data is None else Fetched(data, path)
            item = prepare(self._recognizer, path, content)
            columns["error"].append(None if item.error is None else str(item.error))
            columns["size"].append(item.size)
            found = item.detections
            columns["boxes"].append(found.boxes_xyxy.tobytes())
            columns["scores"].append(found.scores.tobytes())
            columns["crops"].append(item.crops.tobytes())
        types = {"size": pa.list_(pa.int32()), "error": pa.string()}
        made = {
            name: pa.array(values, types.get(name, pa.large_binary()))
            for name, values in columns.items()
        }
        kept = {name: table[name] for name in (PART, POSITION, "path")}
        return pa.table(kept | made)


class _Classifier:
    """Runs the network; loads it once."""

    def __init__(self, config: ScaleConfig, carried: list[Any], version: str) -> None:
        self._recognizer = worker_recognizer(config, carried, version)

    def __call__(self, table: Any) -> Any:
        rows = Rows(self._recognizer.labels, located=True)
        entries = table.to_pylist()
        items = [self._item(entry) for entry in entries]
        answers = classify(self._recognizer, items)
        for entry, item, answer in zip(entries, items, answers, strict=True):
            rows.add(item, answer, (entry[PART], entry[POSITION]))
        return rows.table()

    def _item(self, entry: dict[str, Any]) -> Prepared:
        path = os.fsdecode(entry["path"])
        if entry["error"] is not None:
            return Prepared(path, error=InputError(entry["error"]))
        p = self._recognizer.config.preprocessing
        boxes = np.frombuffer(entry["boxes"], np.float32).reshape(-1, 4)
        scores = np.frombuffer(entry["scores"], np.float32)
        crops = np.frombuffer(entry["crops"], np.uint8)
        return Prepared(
            path,
            size=(entry["size"][0], entry["size"][1]),
            detections=Detections(boxes, scores),
            crops=crops.reshape(-1, p.size, p.size, p.channels),
        )
