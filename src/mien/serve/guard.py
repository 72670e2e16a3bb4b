"""The outermost layer: request ids, keys, rates, size, security headers, log, last resort."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mien.serve.keys import find_client, load_keys
from mien.serve.logs import LOGGER, log
from mien.serve.problems import PROBLEM_JSON, ProblemError
from mien.serve.ratelimit import RateLimit
from mien.serve.uploads import too_large

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mien.serve.engine import Engine

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: Answered without a key: a prober has none, and they say nothing.
_OPEN = ("/healthz", "/readyz")
_ROUTES = {
    "/v1/predict", "/v1/predict/faces", "/v1/explain", "/v1/models", "/metrics", *_OPEN,
}  # fmt: skip
_PICTURE_ROUTES = ("/v1/predict", "/v1/predict/faces", "/v1/explain")
#: How long and how much of a refused body is read away, so that the client sees the answer.
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
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["start"] = time.monotonic()
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, headers)
        else:
            await _Exchange(self, scope, receive, send).run(headers)

    async def _websocket(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]
    ) -> None:
        try:
            self.check(scope, headers)
            self._check_origin(headers)
        except ProblemError as problem:
            log("stream refused", status=problem.status, request_id=scope["state"]["request_id"])
            await send({"type": "websocket.close", "code": 1008, "reason": problem.detail[:100]})
            return
        await self._app(scope, receive, send)

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        """Refuses a web page of another site: browsers let any page open a WebSocket."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        allowed = self._engine.config.cors_origin
        if not origin or origin in allowed or "*" in allowed:
            return
        if urlsplit(origin).netloc != headers.get(b"host", b"").decode("latin-1"):
            raise ProblemError(403, "this web origin may not call.")

    def check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Checks key and rate; notes the client in the scope's state.

        Raises:
            ProblemError: 401 without a valid key, 429 above the rate.
        """
        client = scope.get("client") or ("unknown", 0)
        who = str(client[0])
        if self._keys:
            found = find_client(self._keys, headers)
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

    def refuse_early(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Says no from the headers alone, where that is possible.

        Raises:
            ProblemError: 401, 429, 413, or 503 when the queue is full.
        """
        path = scope["path"]
        if path in _OPEN:
            return
        self.check(scope, headers)
        if scope["method"] == "POST" and path in _PICTURE_ROUTES:
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length[:20]) > self._engine.config.max_body:
                raise too_large(self._engine.config.max_body)
            if refusal := self._engine.queue.refusal():
                raise refusal

    def finish(self, scope: Scope, status: int) -> None:
        """Counts and logs an answer."""
        state, path = scope["state"], scope["path"]
        route = path if path in _ROUTES else "other"
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

    @property
    def max_body(self) -> int:
        """Largest request body in bytes."""
        return self._engine.config.max_body


class _Exchange:
    """One HTTP request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope = guard, scope
        self._receive, self._raw_send = receive, send
        self._status = 0

    async def run(self, headers: dict[bytes, bytes]) -> None:
        scope, guard = self._scope, self._guard
        try:
            guard.refuse_early(scope, headers)
            await guard._app(scope, self._receive, self._send)
        except ProblemError as problem:
            if problem.unread and b"expect" not in headers:
                await self._drain()
            await self._problem(problem)
        except Exception:  # noqa: BLE001 - the last resort: logged here, hidden from the client
            LOGGER.exception(
                "failed", extra={"fields": {"request_id": scope["state"]["request_id"]}}
            )
            if not self._status:
                await self._problem(ProblemError(500, "a fault in the service; it was logged."))
        finally:
            guard.finish(scope, self._status)

    async def _drain(self) -> None:
        left = 2 * self._guard.max_body
        try:
            async with asyncio.timeout(_DRAIN_S):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    async def _problem(self, problem: ProblemError) -> None:
        body = problem.body(self._scope["state"]["request_id"])
        headers: list[Any] = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        await self._send(
            {"type": "http.response.start", "status": problem.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": body})

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            request_id = self._scope["state"]["request_id"].encode()
            extra = [(b"x-request-id", request_id), *_HEADERS]
            if not self._scope["path"].startswith(("/docs", "/redoc")):
                extra.append(_POLICY)
            message["headers"] = [*message["headers"], *extra]
        await self._raw_send(message)
