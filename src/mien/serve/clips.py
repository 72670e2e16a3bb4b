"""Clips as jobs: posted, read in the background, asked for, deleted. All of it in memory.

A process holds so many clips at once, whatever their state. The bytes of one go when it is read,
its results when it is deleted, or some minutes after it ended.
"""

from __future__ import annotations

import os
import queue
import secrets
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from mien.errors import InputError, MienError
from mien.images.guard import kind_of
from mien.serve import schemas
from mien.serve.problems import ProblemError, busy
from mien.serve.telemetry import LOGGER
from mien.serve.uploads import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.recognizer import EmotionRecognizer
    from mien.serve.config import ServeConfig
    from mien.serve.engine import Engine

#: Where clips are posted.
PATH = "/v1/clips"
WAITING, READING, DONE, FAILED = "waiting", "reading", "done", "failed"


class _DroppedError(Exception):
    """The clip was deleted while it was read."""


@dataclass(eq=False)
class ClipJob:
    """A clip and how far it is; ``owner`` is whose key posted it, "" without keys.

    ``posted`` tells it from others where it is posted again: who did, the name that they chose for
    it ("": none), the options, and the number of bytes.
    """

    owner: str
    data: bytes | None
    recognizer: EmotionRecognizer
    fps: float
    posted: tuple[str, str, str, int] = ("", "", "", 0)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    status: str = WAITING
    read_s: float = 0.0
    length_s: float | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = True
    error: str = ""
    ended: float = 0.0
    dropped: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Returns what a client is told: seconds of the clip that are read, and of how many."""
        plain: dict[str, Any] = {"id": self.id, "status": self.status, "read_s": self.read_s}
        plain["length_s"] = self.length_s
        if self.status == DONE:
            plain |= {"frames": self.frames, "complete": self.complete}
        if self.status == FAILED:
            plain["error"] = self.error
        return plain


class ClipJobs:
    """The clips of a process, read one after the other by a thread that ``start`` sets up."""

    def __init__(
        self,
        config: ServeConfig,
        *,
        start: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._start, self._clock = config, start, clock
        self._jobs: dict[str, ClipJob] = {}
        self._waiting: queue.SimpleQueue[ClipJob | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def refusal(self) -> ProblemError | None:
        """Returns why no clip more is taken, or None."""
        self._forget()
        if self._config.workers > 1 or not self._config.clips:
            detail = "this service takes no clips: start it with --workers 1 and --clips above 0."
            return ProblemError(501, detail, reason="clips")
        if find_spec("av") is None:
            detail = 'this service takes no clips: type pip install "mien[serve,video]" there.'
            return ProblemError(501, detail, reason="clips")
        if len(self._jobs) >= self._config.clips:
            detail = "no room for another clip: delete one that is done, or try again later."
            return busy(detail, 10, reason="clips")
        return None

    def add(self, job: ClipJob) -> None:
        """Takes a clip in; ProblemError where there is no room."""
        if refusal := self.refusal():
            raise refusal
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mien-clips", daemon=True)
            self._thread.start()
        self._jobs[job.id] = job
        self._waiting.put(job)

    def known(self, client: str, key: str) -> ClipJob | None:
        """Returns the clip that a client posted under a name, or None; "" is no name."""
        self._forget()
        jobs = (job for job in self._jobs.values() if job.posted[:2] == (client, key))
        return next(jobs, None) if key else None

    def find(self, clip_id: str, owner: str) -> ClipJob:
        """Returns a clip of that client's; ProblemError 404."""
        self._forget()
        job = self._jobs.get(clip_id)
        if job is None or job.owner != owner:
            raise ProblemError(404, "there is no such clip: it was deleted, or it expired.")
        return job

    def drop(self, job: ClipJob) -> None:
        """Deletes a clip, whatever its state; one being read stops at its next frame."""
        job.dropped, job.data, job.frames = True, None, []
        self._jobs.pop(job.id, None)

    def close(self) -> None:
        """Drops everything and ends the thread."""
        for job in list(self._jobs.values()):
            self.drop(job)
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _forget(self) -> None:
        old = self._clock() - self._config.keep_clip_s
        for job in [job for job in self._jobs.values() if job.ended and job.ended < old]:
            self.drop(job)

    def _work(self) -> None:
        self._start()
        while (job := self._waiting.get()) is not None:
            if job.dropped:
                continue
            try:
                job.status = READING
                self._read(job)
                job.status = DONE
            except _DroppedError:
                pass
            except MienError as error:
                job.status, job.error = FAILED, str(error)
            except Exception:  # noqa: BLE001 - the last resort: logged here, hidden from the client
                LOGGER.exception("clip failed")
                job.status, job.error = FAILED, "a fault in the service; it was logged."
            job.data, job.ended = None, self._clock()

    def _read(self, job: ClipJob) -> None:
        from mien.video import VideoConfig, VideoRecognizer
        from mien.video.reading import Tally, open_clip, read_frames

        data, job.data = job.data, None
        with in_memory(data or b"") as path:
            del data
            try:
                if kind_of(path) != "clip":
                    raise InputError("is no clip that is read here", hint="Send an MP4 or a WebM.")
                clip = open_clip(path, max_pixels=self._config.max_pixels)
                job.length_s = None if clip.duration_s is None else round(clip.duration_s, 3)
                video = VideoRecognizer(job.recognizer, VideoConfig(), fps=clip.rate(job.fps))
                tally = Tally()
                read = read_frames(clip, fps=job.fps, shown=False, tally=tally)
                with closing(read) as frames:
                    for frame in frames:
                        self._check(job, frame.time_s)
                        faces = [item.face for item in video.read(frame.image_rgb, frame.time_s)]
                        job.read_s = round(frame.time_s, 3)
                        entry = {"time_s": job.read_s, "faces": [face.to_dict() for face in faces]}
                        job.frames.append(entry)
                job.complete = tally.is_whole(clip)
            except MienError as error:
                raise error.about("the clip") from error

    def _check(self, job: ClipJob, time_s: float) -> None:
        if job.dropped:
            raise _DroppedError
        if time_s > self._config.max_clip_s:
            reason = f"is longer than {self._config.max_clip_s:g} s"
            raise InputError(reason, hint="Cut it into pieces.")


@contextmanager
def in_memory(data: bytes) -> Iterator[str]:
    """Yields the path of a file that is in memory where the system has such (Linux)."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("mien-clip"), "wb") as file:
            file.write(data)
            del data  # the caller may let go of it: a clip is held once
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory(prefix="mien-clip-") as folder:
        path = os.path.join(folder, "clip")  # noqa: PTH118
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(data)
        yield path


def clip_routes(engine: Engine) -> APIRouter:
    """Returns the routes of clips."""
    router = APIRouter(prefix=PATH, tags=["clips"])
    config = engine.config
    known = schemas.responses("clip", schemas.ClipState, (401, 404, 422, 429, 503))

    def find(request: Request, clip_id: str) -> ClipJob:
        return engine.clips.find(clip_id, _owner(config, request))

    @router.post(
        "", status_code=202, operation_id="post_clip", openapi_extra=schemas.clip_body(),
        responses=schemas.responses("clip", schemas.ClipState, good=202),
    )  # fmt: skip
    async def post(
        request: Request,
        options: Annotated[schemas.ClipOptions, Query()],
        idempotency_key: schemas.IdempotencyKey = "",
    ) -> Response:
        """Takes a clip, the body's bytes, to be read in the background."""
        _, recognizer = engine.loaded().choose(options)
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind in {"multipart/form-data", "application/json"}:
            raise ProblemError(415, "send the bytes of the clip as the body, as video/mp4.")
        async with engine.bodies.open(request.state.client) as grow:
            data = await read_body(
                request.receive, most=config.max_clip, timeout_s=config.body_timeout_s, grow=grow
            )
        request.state.fields = {"bytes": len(data)}
        posted = request.state.client, idempotency_key, request.url.query, len(data)
        job = engine.clips.known(*posted[:2])
        if job is None:
            job = ClipJob(_owner(config, request), data, recognizer, options.fps, posted)
            engine.clips.add(job)
        elif job.posted != posted:
            raise ProblemError(422, "another clip has this Idempotency-Key: choose a new one.")
        headers = {"location": f"{config.root_path}{PATH}/{job.id}"}
        return JSONResponse(job.to_plain(), 202, headers)

    @router.get("/{clip_id}", operation_id="get_clip", responses=known)
    async def get(request: Request, clip_id: str) -> Response:
        """Says how far a clip is; its faces, frame by frame, once it is done."""
        return JSONResponse(find(request, clip_id).to_plain())

    @router.delete("/{clip_id}", operation_id="delete_clip", responses=known)
    async def delete(request: Request, clip_id: str) -> Response:
        """Deletes a clip and what was found in it; one that is being read is given up."""
        job = find(request, clip_id)
        engine.clips.drop(job)
        return JSONResponse({**job.to_plain(), "status": "deleted", "frames": None})

    return router


def _owner(config: ServeConfig, request: Request) -> str:
    return str(request.state.client) if config.needs_key else ""
