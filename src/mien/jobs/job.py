"""A job on disk: its settings, the list of its pictures, and which parts are done.

Below the output lie ``part-000000.parquet`` and so on, and in ``_mien`` the list of all pictures
(a row group per part), ``job.json`` and at the end ``summary.json``. Readers of Parquet folders
leave out names that start with an underscore. ``job.json`` is written after the list, each part
only when it is whole; a part is done if its file is there, whole and of this job. Nothing else
decides what is left to do, so whatever kills a job, it goes on without losing or repeating a
picture.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, InputError
from mien.jobs.table import import_arrow, read_notes
from mien.jobs.work import Answer, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import ExitStack

    from mien.jobs.outputs import OutputStore

FOLDER = "_mien"
JOB, FILES, SUMMARY = f"{FOLDER}/job.json", f"{FOLDER}/files.parquet", f"{FOLDER}/summary.json"
_PART = re.compile(r"part-(\d{6,})\.parquet")
_LEFT = re.compile(r"\.part-\d{6,}\.parquet\..*")
_CHECKERS = 16
_COUNTS = ("pictures", "faces", "failed")


class Job:
    """A job, and what is left of it.

    It writes to ``store``, which messages call ``output``; ``stack`` holds the lock and the list.
    """

    def __init__(self, store: OutputStore, output: str, stack: ExitStack) -> None:
        self.store, self.output = store, output
        self.id = ""
        self.done: dict[int, Mapping[str, Any]] = {}
        self._stack = stack
        self._file: Any = None

    def begin(
        self,
        identity: Mapping[str, Any],
        paths: Iterable[str],
        *,
        part_size: int,
        resume: bool,
        overwrite: bool,
    ) -> None:
        """Begins the job, or finds out how far it is; see :func:`mien.jobs.predict_files`.

        ``identity`` is what the answers depend on: a job goes on only with the same. ``paths`` are
        read only where a job begins.
        """
        if resume and overwrite:
            raise ConfigError("--resume goes on and --overwrite starts again: give one of them.")
        there = self._found(resume=resume, overwrite=overwrite)
        self._stack.enter_context(self.store.locked())
        if there is not None and overwrite:
            # The job's own file goes last: what is left by then is still a job to be dropped.
            self._remove(_PART)
            for name in (SUMMARY, FILES, JOB):
                self.store.remove(name)
            there = None
        self._remove(_LEFT)
        identity = json.loads(json.dumps(identity))
        if there is None:
            self._start(identity, paths, part_size)
        else:
            self._compare(there["identity"], identity)
            self.id = there["id"]
        self._open_list()
        self._check_parts()

    def _found(self, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
        """Returns the job that lies there, or None where nothing does."""
        names = self.store.names()
        foreign = [name for name in names if name != FOLDER and not _LEFT.fullmatch(name)]
        content = self.store.read(JOB) if FOLDER in names else None
        if content is None:
            if foreign:
                reason = f"holds {foreign[0]} and is no job of mien's"
                raise ConfigError(reason, subject=self.output, hint="Give another --output.")
            return None
        if not resume and not overwrite:
            hint = (
                "Add --resume to go on with it or --overwrite to start again, or give another "
                "--output."
            )
            raise ConfigError("exists already", subject=self.output, hint=hint)
        try:
            job = json.loads(content)
            return {"id": str(job["id"]), "identity": dict(job["identity"])}
        except (ValueError, KeyError, TypeError) as error:
            if overwrite:
                return {}
            raise self._damaged(JOB) from error

    def _damaged(self, name: str) -> ConfigError:
        return ConfigError(
            "is damaged", subject=f"{self.output}/{name}", hint="Add --overwrite to start again."
        )

    def _remove(self, pattern: re.Pattern[str]) -> None:
        for name in filter(pattern.fullmatch, self.store.names()):
            self.store.remove(name)

    def _start(self, identity: Mapping[str, Any], paths: Iterable[str], part_size: int) -> None:
        with tempfile.TemporaryDirectory(prefix="mien-job-") as folder:
            file = Path(folder) / "files.parquet"
            # Writing is tried before a long listing begins.
            self.store.write(SUMMARY, b"{}\n")
            try:
                parts, pictures = _write_list(file, paths, part_size)
            finally:
                self.store.remove(SUMMARY)
            if not pictures:
                raise InputError("there are no pictures in the input: nothing to do.")
            self.store.upload(file, FILES)
        self.id = secrets.token_hex(8)
        job = {"id": self.id, "parts": parts, "pictures": pictures, "identity": identity}
        self.store.write(JOB, json.dumps(job, indent=2).encode() + b"\n")

    def _compare(self, before: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        other = [key for key in identity if before.get(key) != identity[key]]
        if other:
            was = ", ".join(f"{key} {_short(before.get(key))}" for key in other)
            reason = f"was begun with another {' and '.join(other)} (it was: {was})"
            hint = "Resume it with the same, or give another --output."
            raise ConfigError(reason, subject=self.output, hint=hint)

    def _open_list(self) -> None:
        parquet = import_arrow().parquet
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mien-job-"))
        try:
            self._file = parquet.ParquetFile(self.store.copy(FILES, Path(folder)))
        except OSError as error:
            raise self._damaged(FILES) from error
        self._stack.callback(self._file.close)
        self.parts: int = self._file.metadata.num_row_groups
        self.pictures: int = self._file.metadata.num_rows

    def _check_parts(self) -> None:
        """Finds the parts that are done; a file that is broken or another's is dropped."""

        def check(match: re.Match[str]) -> tuple[int, Mapping[str, Any]] | None:
            number, notes = int(match[1]), self._notes(match[0])
            if number < self.parts:
                size = self._file.metadata.row_group(number).num_rows
                own = {"job": self.id, "part": number, "pictures": size}
                if {key: notes.get(key) for key in own} == own:
                    return number, notes
            self.store.remove(match[0])
            return None

        found = filter(None, map(_PART.fullmatch, self.store.names()))
        with ThreadPoolExecutor(_CHECKERS) as pool:
            self.done = dict(filter(None, pool.map(check, found)))

    def _notes(self, name: str) -> Mapping[str, Any]:
        """Returns the notes of a part, none where it is damaged or gone."""
        try:
            with self.store.open(name) as file:
                return read_notes(file)
        except Exception:  # noqa: BLE001 - of the file, or of any store: see below
            data = self.store.read(name)  # raises what the store has to say
        try:
            return read_notes(io.BytesIO(data or b""))
        except (OSError, ValueError):
            return {}

    def left(self) -> Iterator[Part]:
        """Yields the parts that are not done, in order, reading the list as it goes."""
        for number in range(self.parts):
            if number not in self.done:
                column = self._file.read_row_group(number).column("path")
                paths = tuple(os.fsdecode(path) for path in column.to_pylist())
                yield Part(self.id, number, paths)

    def save(self, answer: Answer) -> None:
        """Writes a part that is done."""
        self.store.write(f"part-{answer.number:06}.parquet", answer.data)
        self.done[answer.number] = answer.notes

    def counts(self) -> dict[str, int]:
        """Counts the pictures, faces and failed pictures of the parts that are done."""
        return {key: sum(int(notes[key]) for notes in self.done.values()) for key in _COUNTS}


def _write_list(file: Path, paths: Iterable[str], part_size: int) -> tuple[int, int]:
    """Writes the pictures, a row group per part; returns the parts and the pictures."""
    pa = import_arrow()
    parts = pictures = 0
    schema = pa.schema([("path", pa.binary())])
    iterator = iter(paths)
    with pa.parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
        while names := [os.fsencode(path) for path in islice(iterator, part_size)]:
            writer.write_table(pa.table({"path": names}, schema), row_group_size=part_size)
            parts, pictures = parts + 1, pictures + len(names)
    return parts, pictures


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
