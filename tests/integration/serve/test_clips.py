"""Clips that are posted as jobs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("av")
httpx = pytest.importorskip("httpx")

from starlette.testclient import TestClient

from mien import EmotionRecognizer
from mien.client import AsyncClient, Client, ServiceError
from mien.client.clients import ClipFrame, read_clip
from mien.serve import ServeConfig
from mien.serve.clips import ClipJob, ClipJobs, _DroppedError, in_memory
from mien.serve.problems import ProblemError
from mien.video import VideoConfig, predict_video
from support.clips import crossing, write_clip
from support.serve_routes import _client, wait
from support.service import Server

_END = {"done", "failed"}


@pytest.fixture(scope="module")
def service() -> Iterator[TestClient]:
    with _client(detector=("none",), clips=2, max_clip_mb=0.5, max_clip_s=5) as opened:
        yield wait(opened)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", crossing(10), fps=10)


def _ended(service: TestClient, number: str) -> dict[str, Any]:
    end = time.monotonic() + 30
    while True:
        state: dict[str, Any] = service.get(f"/v1/clips/{number}").json()
        if state["status"] in _END:
            return state
        assert time.monotonic() < end
        time.sleep(0.01)


def test_clip_is_read_in_the_background_and_deleted(service: TestClient, clip: Path) -> None:
    posted = service.post("/v1/clips?fps=5&labels=hes3", content=clip.read_bytes())
    assert posted.status_code == 202
    state = _ended(service, posted.json()["id"])
    recognizer = EmotionRecognizer(detector="none", labels="hes3")
    expected = list(predict_video(clip, recognizer=recognizer, config=VideoConfig(fps=5)))
    assert [frame["time_s"] for frame in state["frames"]] == [0, 0.2, 0.4, 0.6, 0.8]
    assert [frame["faces"] for frame in state["frames"]] == [
        [face.to_dict() for face in frame.result.faces] for frame in expected
    ]
    assert (state["read_s"], state["length_s"]) == (0.8, 1.0)
    assert state["complete"] is True
    address = posted.headers["location"]
    assert service.delete(address).json()["status"] == "deleted"
    assert service.get(address).status_code == service.delete(address).status_code == 404
    assert 'route="/v1/clips/ID"' in service.get("/metrics").text


def test_a_clip_that_is_not_whole_says_so(
    service: TestClient, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_clip(tmp_path / "a.mkv", crossing(10), fps=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    posted = service.post("/v1/clips", content=path.read_bytes())
    state = _ended(service, posted.json()["id"])
    assert (state["status"], state["complete"]) == ("done", False)
    assert read_clip(state)
    assert "the clip is not whole" in caplog.text
    service.delete(posted.headers["location"])


def test_client_waits_for_a_clip_and_leaves_nothing(server: Server, clip: Path) -> None:
    seen: list[float] = []
    with Client(server.url) as client:
        frames = client.predict_clip(
            clip, fps=5, detector="none", progress=lambda read_s, length_s: seen.append(read_s)
        )
        assert [time_s for time_s, _ in frames] == [0, 0.2, 0.4, 0.6, 0.8]
        assert all(face.track_id == 1 for _, faces in frames for face in faces)
        assert seen
        with pytest.raises(ServiceError, match="no clip"):
            client.predict_clip(b"no clip")
        for _ in range(5):  # more than are held at once: each was deleted
            with pytest.raises(ServiceError, match="no clip"):
                client.predict_clip(b"no clip")

    async def run() -> list[ClipFrame]:
        async with AsyncClient(server.url) as client:
            return await client.predict_clip(clip, fps=5, detector="none")

    assert asyncio.run(run()) == frames


def test_clip_that_is_posted_again_is_taken_once(service: TestClient) -> None:
    def post(key: str, query: str = "", data: bytes = b"no clip") -> Any:
        headers = {"idempotency-key": key} if key else {}
        return service.post(f"/v1/clips{query}", content=data, headers=headers)

    first, other = post("a"), post("b")  # there is room for two
    again = post("a")
    assert first.status_code == other.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert post("a", "?fps=3").status_code == post("a", data=b"longer").status_code == 422
    assert post("c").status_code == post("").status_code == 503
    assert service.delete(other.headers["location"]).status_code == 200
    new = [post("") for _ in range(2)]
    assert [answer.status_code for answer in new] == [202, 503]  # without a key each is another
    assert service.delete(first.headers["location"]).status_code == 200
    assert post("k" * 101).status_code == 422
    later = post("a")  # nothing is kept of what was deleted, the key neither
    assert later.status_code == 202
    assert later.json()["id"] != first.json()["id"]
    for answer in (new[0], later):
        assert service.delete(answer.headers["location"]).status_code == 200


class _Lossy(httpx.BaseTransport):  # type: ignore[misc, name-defined]
    """Loses the first answer of each address and method."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.lost = inner, list[str]()

    def handle_request(self, request: Any) -> Any:
        answer = self._inner.handle_request(request)
        name = f"{request.method} {request.url.path}"
        if name not in self.lost:
            self.lost.append(name)
            answer.close()
            raise httpx.ReadError("the connection was lost")
        return answer

    def close(self) -> None:
        self._inner.close()


def test_client_that_loses_answers_leaves_no_clip_behind(server: Server, clip: Path) -> None:
    with Client(server.url) as client:
        lossy = client._http._transport = _Lossy(client._http._transport)
        frames = client.predict_clip(clip, fps=5, detector="none")
    assert [time_s for time_s, _ in frames] == [0, 0.2, 0.4, 0.6, 0.8]
    assert {"POST", "DELETE"} <= {name.split()[0] for name in lossy.lost}
    with httpx.Client(base_url=server.url, trust_env=False) as plain:
        posted = [plain.post("/v1/clips", content=b"x") for _ in range(5)]
        assert [answer.status_code for answer in posted] == [202] * 4 + [503]  # room for all four
        for answer in posted[:4]:
            plain.delete(answer.headers["location"])


@pytest.mark.parametrize(
    "data",
    [b"", b"no clip", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\n",
     b"\x00\x00\x00\x18ftypmp42" + bytes(500)],
)  # fmt: skip
def test_what_is_no_clip_fails_and_names_no_path(service: TestClient, data: bytes) -> None:
    posted = service.post("/v1/clips", content=data)
    state = _ended(service, posted.json()["id"])
    service.delete(posted.headers["location"])
    assert state["status"] == "failed"
    assert state["error"].startswith("the clip ")
    assert "/proc" not in state["error"]
    assert "passwd" not in state["error"]


def test_wrong_clips_are_problems(service: TestClient) -> None:
    wrong = {"?fps=0": b"", "?labels=none": b"", "?fps=many": b""}
    for query, data in wrong.items():
        assert service.post(f"/v1/clips{query}", content=data).status_code == 422
    assert service.post("/v1/clips", content=bytes(500_001)).status_code == 413
    assert service.post("/v1/clips", files={"clip": b"x"}).status_code == 415
    assert service.get("/v1/clips/other").status_code == 404


def _job(owner: str = "") -> ClipJob:
    recognizer: Any = None
    return ClipJob(owner, b"no clip", recognizer, 5)


def test_room_is_bounded_and_nothing_is_kept() -> None:
    now = [1.0]
    jobs = ClipJobs(ServeConfig(clips=2, keep_clip_s=60), clock=lambda: now[0])
    first, second = _job("ann"), _job("ann")
    jobs.add(first)
    jobs.add(second)
    with pytest.raises(ProblemError) as full:
        jobs.add(_job())
    assert (full.value.status, full.value.reason) == (503, "clips")
    with pytest.raises(ProblemError):
        jobs.find(first.id, "ben")  # another key's
    end = time.monotonic() + 10
    while not second.ended and time.monotonic() < end:
        time.sleep(0.005)
    assert first.data is None
    jobs.drop(first)
    jobs.add(_job())
    now[0] = 100.0
    assert jobs.refusal() is None
    with pytest.raises(ProblemError):
        jobs.find(second.id, "ann")  # it was kept long enough
    jobs.close()
    assert not jobs._jobs


def test_clip_that_expired_is_not_known_by_its_key() -> None:
    now = [1.0]
    jobs = ClipJobs(ServeConfig(clips=2, keep_clip_s=60), clock=lambda: now[0])
    job = _job()
    job.posted, job.ended = ("ann", "key", "", 7), now[0]
    jobs._jobs[job.id] = job
    assert jobs.known("ann", "key") is job
    assert jobs.known("ben", "key") is jobs.known("ann", "") is None
    now[0] = 100.0
    assert jobs.known("ann", "key") is None


def test_clip_that_is_too_long_or_deleted_is_given_up(clip: Path) -> None:
    recognizer = EmotionRecognizer(detector="none")
    jobs = ClipJobs(ServeConfig(clips=2, max_clip_s=0.5))
    long = ClipJob("", clip.read_bytes(), recognizer, 10)
    jobs.add(long)
    end = time.monotonic() + 30
    while not long.ended and time.monotonic() < end:
        time.sleep(0.01)
    assert long.error.startswith("the clip is longer than 0.5 s")
    jobs.close()
    dropped = ClipJob("", clip.read_bytes(), recognizer, 10, dropped=True)
    with pytest.raises(_DroppedError):
        jobs._read(dropped)
    assert dropped.frames == []


def test_service_of_several_processes_or_without_pyav_takes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ClipJobs(ServeConfig()).refusal() is None
    with monkeypatch.context() as patch:
        patch.setattr("mien.serve.clips.find_spec", lambda name: None)
        without = ClipJobs(ServeConfig()).refusal()
    assert without is not None
    assert "mien[serve,video]" in without.detail
    for config in (ServeConfig(workers=2), ServeConfig(clips=0)):
        refusal = ClipJobs(config).refusal()
        assert refusal is not None
        assert refusal.status == 501


@pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")
def test_bytes_of_a_clip_are_on_no_disk() -> None:
    data = bytes(range(200))
    references = sys.getrefcount(data)
    with in_memory(data) as path:
        assert path.startswith("/proc/self/fd/")
        assert Path(path).read_bytes() == data
        assert sys.getrefcount(data) == references  # it is not held a second time
    assert not Path(path).exists()
