"""The outermost layer: request ids, keys, rates, size, security headers, log, last resort."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.websockets import WebSocket

from mien.serve.access import RateLimit, find_client, load_keys
from mien.serve.clips import PATH as CLIPS
from mien.serve.documents import is_document
from mien.serve.problems import GoneError, ProblemError
from mien.serve.telemetry import LOGGER, log
from mien.serve.uploads import too_large

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mien.serve.engine import Engine

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: Answered without a key: a prober has none, and they say nothing.
_HEALTH = ("/healthz", "/readyz")
_PICTURE_ROUTES = ("/v1/predict", "/v1/predict/faces", "/v1/explain")
_ROUTES = {*_PICTURE_ROUTES, "/v1/models", "/metrics", CLIPS, *_HEALTH}
#: How long a refused body is read away.
_DRAIN_S = 2.0

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self._app, self._engine = app, engine
        self._keys = load_keys(engine.config)
        self._limit = RateLimit(engine.config.rate, engine.config.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes one request, or the application's life."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = _header(scope, b"x-request-id")
        request_id = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {}).update(request_id=request_id, start=time.monotonic())
        scope["root_path"] = self._engine.config.root_path
        answer = self._websocket if scope["type"] == "websocket" else self._http
        await answer(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["state"]["request_id"]
        try:
            self._check(scope)
            self._check_origin(scope)
        except ProblemError as problem:
            self._engine.metrics.rejections.labels(problem.reason).inc()
            log("stream refused", status=problem.status, request_id=request_id)
            answer = problem.response(request_id)
            await WebSocket(scope, receive, send).send_denial_response(answer)
            return
        await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, status = scope["state"]["request_id"], 0
        extra = [(b"x-request-id", request_id.encode()), *_HEADERS]

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                policy = [] if _POLICY[0] in own else [_POLICY]
                message["headers"] = [*message["headers"], *extra, *policy]
            await send(message)

        try:
            refusal = await self._answer(scope, receive, send_more)
            if refusal is not None and not status:
                await refusal(scope, receive, send_more)
        finally:
            self._finish(scope, status)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Lets the application answer; returns the answer where it did not."""
        request_id = scope["state"]["request_id"]
        try:
            self._refuse_early(scope)
            await self._app(scope, receive, send)
        except ProblemError as problem:
            self._engine.metrics.rejections.labels(problem.reason).inc()
            if problem.unread and not _header(scope, b"expect"):
                await self._drain(receive)
            return problem.response(request_id)
        except GoneError:
            return Response(status_code=499)
        except Exception:  # noqa: BLE001 - the last resort: logged here, hidden from the client
            self._engine.metrics.rejections.labels("fault").inc()
            LOGGER.exception("failed", extra={"fields": {"request_id": request_id}})
            return ProblemError(500, "a fault in the service; it was logged.").response(request_id)
        return None

    async def _drain(self, receive: Receive) -> None:
        """Reads a refused body away for a while, so that the client sees the answer."""
        left = 2 * self._engine.config.max_body
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return

    def _path(self, scope: Scope) -> str:
        """Returns the path without what a proxy puts in front of it."""
        path, root = str(scope["path"]), self._engine.config.root_path
        return path.removeprefix(root) if path.startswith(f"{root}/") else path

    def _check_origin(self, scope: Scope) -> None:
        """Refuses a web page of another site: browsers let any page open a WebSocket."""
        origin = _header(scope, b"origin").decode("latin-1")
        allowed = self._engine.config.cors_origin
        if not origin or origin in allowed or "*" in allowed:
            return
        if urlsplit(origin).netloc != _header(scope, b"host").decode("latin-1"):
            raise ProblemError(403, "this web origin may not call.")

    def _check(self, scope: Scope) -> None:
        """Checks key and rate; notes the client in the scope's state."""
        who = str((scope.get("client") or ["unknown"])[0])
        if self._keys and not is_document(self._path(scope)):
            found = find_client(self._keys, dict(scope["headers"]))
            if found is None:
                raise ProblemError(
                    401, "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.",
                    headers={"www-authenticate": "Bearer"},
                )  # fmt: skip
            who = found
        scope["state"]["client"] = who
        if wait_s := self._limit.wait_s(who):
            seconds = str(max(1, round(wait_s + 0.5)))
            raise ProblemError(429, "too many requests.", headers={"retry-after": seconds})

    def _refuse_early(self, scope: Scope) -> None:
        """Says no from the headers alone, where that is possible: 401, 429, 413 or 503."""
        path, engine = self._path(scope), self._engine
        if path in _HEALTH:
            return
        self._check(scope)
        if scope["method"] == "POST" and path in (*_PICTURE_ROUTES, CLIPS):
            most = engine.config.max_clip if path == CLIPS else engine.config.max_body
            length = _header(scope, b"content-length") or b"0"
            if not length.isdigit() or int(length[:20]) > most:
                raise too_large(most)
            limits = engine.clips if path == CLIPS else engine.queue
            key = _header(scope, b"idempotency-key").decode("latin-1")
            again = path == CLIPS and engine.clips.known(scope["state"]["client"], key)
            if not again and (refusal := limits.refusal()):
                raise refusal

    def _finish(self, scope: Scope, status: int) -> None:
        """Counts and logs an answer."""
        state, path = scope["state"], self._path(scope)
        route = path if path in _ROUTES else "other"
        if path.startswith(f"{CLIPS}/"):
            route = f"{CLIPS}/ID"
        took_s = time.monotonic() - state["start"]
        metrics = self._engine.metrics
        metrics.requests.labels(route, str(status)).inc()
        metrics.latency_s.labels(route).observe(took_s)
        metrics.track_queue()
        log(
            "request", method=scope["method"], route=route, status=status,
            ms=round(took_s * 1000, 2), request_id=state["request_id"],
            client=state.get("client"), **state.get("fields", {}),
        )  # fmt: skip


def _header(scope: Scope, name: bytes) -> bytes:
    return bytes(dict(scope["headers"]).get(name, b""))
