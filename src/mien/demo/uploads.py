"""Nothing is kept: a private folder for what visitors send, and how soon it is deleted.

Gradio writes each upload into a folder before an answer can begin. Here that folder is readable by
its owner only, what was read leaves it within half a minute, what nobody asked about within ten,
and all of it goes with the process. Two visitors who send the same file share one copy (Gradio
names it by its content), so that a file is not deleted in the very moment it was read.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from mien.demo.live import LiveReader

#: Seconds after which a file goes once it was read, and whether it was read or not.
READ_S, LONGEST_S = 20.0, 600.0
#: Seconds between two checks of what is to go.
_EVERY_S = 5.0
_GONE = "the file waited too long and was deleted: send it again."
#: Sessions whose photo is remembered, at most.
MAX_SESSIONS = 64


class UploadStore:
    """The private folder of a page, and the thread that empties it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mien-demo-")).resolve()
        self.sessions = Sessions()
        self._busy: Counter[Path] = Counter()
        self._read: dict[Path, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mien-uploads", daemon=True)
        self._thread.start()

    def __enter__(self) -> UploadStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def read(self, path: str | os.PathLike[str]) -> bytes:
        """Returns an upload's bytes, as :meth:`using` gives its path."""
        with self.using(path) as place:
            try:
                return place.read_bytes()
            except OSError as error:
                raise InputError(_GONE) from error

    @contextmanager
    def using(self, path: str | os.PathLike[str]) -> Iterator[Path]:
        """Yields an upload's path; it stays as long as the context lasts, and goes soon after."""
        place = Path(path).resolve()
        if not place.is_relative_to(self.folder):
            raise InputError("this is not a file that was sent to this page: send it again.")
        with self._busy_with(place):
            if not place.is_file():
                raise InputError(_GONE)
            yield place
        with self._lock:
            self._read[place] = time.time()

    @contextmanager
    def working(self) -> Iterator[Path]:
        """Yields a new folder, which goes with the context."""
        folder = self.new_folder("work")
        try:
            with self._busy_with(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def new_folder(self, kind: str) -> Path:
        """Returns a new folder, whose files stay ten minutes at most."""
        return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.folder))

    def sweep(self, now: float | None = None) -> None:
        """Deletes what is due at ``now``, seconds since 1970, and forgets sessions that ended."""
        now = time.time() if now is None else now
        with self._lock:
            busy, read = dict(self._busy), dict(self._read)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if not busy.keys().isdisjoint((path, *path.parents)):
                continue
            with contextlib.suppress(OSError):  # it went in the meantime, or a folder is not empty
                age = now - max(path.lstat().st_ctime, read.get(path, 0.0))
                if path.is_dir():
                    if age > READ_S:
                        path.rmdir()
                elif age > (READ_S if path in read else LONGEST_S):
                    path.unlink()
        with self._lock:
            self._read = {path: when for path, when in self._read.items() if path.exists()}
        self.sessions.sweep(now)

    @contextmanager
    def _busy_with(self, path: Path) -> Iterator[None]:
        with self._lock:
            self._busy[path] += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[path] -= 1
                self._busy += Counter()  # drops what is no more than 0

    def _work(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self.sweep()


@dataclass
class Session:
    """What the page remembers of an open browser tab, in memory only: photo, camera, last use."""

    photo: bytes | None = None
    live: LiveReader | None = None
    touched: float = field(default_factory=time.time)


class Sessions:
    """What is remembered by session; the longest unused go when there are too many."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, name: str | None) -> Session:
        """Returns what is remembered of a session; without a name, what nobody else sees."""
        if name is None:
            return Session()
        with self._lock:
            session = self._sessions.setdefault(name, Session())
            session.touched = time.time()
            self._sessions.move_to_end(name)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
            return session

    def end(self, name: str | None) -> None:
        """Forgets a session."""
        with self._lock:
            self._sessions.pop(name or "", None)

    def sweep(self, now: float) -> None:
        """Forgets sessions that were not used for ten minutes."""
        with self._lock:
            for name, session in list(self._sessions.items()):
                if now - session.touched > LONGEST_S:
                    del self._sessions[name]
