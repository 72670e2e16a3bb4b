"""From a request's body to pictures in memory. Nothing is ever written to disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.serve.problems import GoneError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive

#: Bodies above this many bytes are parsed in a thread.
_LARGE = 1 << 18
#: Bytes per second that a body has at least, beyond the time that every one may take.
_MIN_RATE = 10_000
_FIELDS = ("images", "image")
_NAME_CHARACTERS = 100


class Upload(NamedTuple):
    """One picture: the name to report it under, and its bytes."""

    name: str
    data: bytes


async def read_body(
    receive: Receive, *, most: int, timeout_s: float, grow: Callable[[int], None]
) -> bytes:
    """Reads a whole body, telling ``grow`` of each piece's size.

    ProblemError 413 if over ``most`` bytes; 408 if it is silent for ``timeout_s``, or if it is
    slower than ``timeout_s`` and a second for each 10,000 bytes.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(timeout_s) as limit:
            start = asyncio.get_running_loop().time()
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise too_large(most)
                grow(len(part))
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
                now = asyncio.get_running_loop().time()
                limit.reschedule(min(now, start + size / _MIN_RATE) + timeout_s)
    except TimeoutError:
        detail = f"the body was silent for {timeout_s:g} s, or too slow: send a smaller picture."
        raise ProblemError(408, detail, headers={"connection": "close"}) from None


def too_large(most: int) -> ProblemError:
    """Returns the 413."""
    detail = f"the body is larger than {most:,} bytes: send fewer or smaller pictures."
    return ProblemError(413, detail, headers={"connection": "close"}, unread=True)


async def parse_uploads(body: bytes, content_type: str, *, most: int) -> list[Upload]:
    """Reads at most so many pictures from multipart or JSON with base64."""
    kind = content_type.partition(";")[0].strip().lower()
    parse = {"multipart/form-data": _parse_multipart, "application/json": _parse_json}.get(kind)
    if parse is None:
        raise ProblemError(
            415,
            f"content type {kind[:80]!r} is not taken: send multipart/form-data with the field "
            "'images', or application/json with base64.",
        )
    if len(body) > _LARGE:
        uploads = await asyncio.to_thread(parse, body, content_type, most)
    else:
        uploads = parse(body, content_type, most)
    if not uploads:
        raise ProblemError(422, "there is no picture: send at least one in the field 'images'.")
    return uploads


def _too_many(most: int) -> ProblemError:
    return ProblemError(413, f"more than {most} pictures in one request: send them in several.")


def _parse_multipart(body: bytes, content_type: str, most: int) -> list[Upload]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary or len(boundary) > 200:
        raise ProblemError(
            422, "multipart without a boundary: let your HTTP client set the header."
        )
    uploads: list[Upload] = []
    headers: dict[bytes, bytes] = {}
    name, value, data = bytearray(), bytearray(), bytearray()

    def header_end() -> None:
        headers[bytes(name).lower()] = bytes(value)
        name.clear()
        value.clear()

    def part_end() -> None:
        _, part = parse_options_header(headers.get(b"content-disposition", b""))
        field = part.get(b"name", b"").decode("utf-8", "replace")
        if field not in _FIELDS:
            raise ProblemError(422, f"unknown field {field[:80]!r}: pictures go in 'images'.")
        if len(uploads) == most:
            raise _too_many(most)
        file_name = part.get(b"filename", b"").decode("utf-8", "replace")
        uploads.append(Upload(clean_name(file_name, len(uploads)), bytes(data)))
        headers.clear()
        data.clear()

    ended = []
    callbacks: Any = {
        "on_header_field": lambda chunk, start, end: name.extend(chunk[start:end]),
        "on_header_value": lambda chunk, start, end: value.extend(chunk[start:end]),
        "on_header_end": header_end,
        "on_part_data": lambda chunk, start, end: data.extend(chunk[start:end]),
        "on_part_end": part_end,
        "on_end": lambda: ended.append(True),
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise ProblemError(422, "the multipart body is damaged.") from None
    if not ended:
        raise ProblemError(422, "the multipart body is cut off: its last boundary is missing.")
    return uploads


def _parse_json(body: bytes, _: str, most: int) -> list[Upload]:
    # Base64 has none of these: more of them is no picture but a bomb of small objects.
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > 8 * most + 64:
        raise _too_many(most)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(422, "the body is not JSON.") from None
    entries = value.get("images") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(entries, list):
        raise ProblemError(422, 'expected {"images": [{"data": "<base64>", "name": "a.jpg"}]}.')
    if len(entries) > most:
        raise _too_many(most)
    return [_json_upload(entry, index) for index, entry in enumerate(entries)]


def _json_upload(entry: object, index: int) -> Upload:
    if not isinstance(entry, dict) or not {"data"} <= set(entry) <= {"data", "name"}:
        raise ProblemError(422, f"images[{index}]: expected an object with data and perhaps name.")
    data, name = entry["data"], entry.get("name", "")
    if not isinstance(data, str) or not isinstance(name, str):
        raise ProblemError(422, f"images[{index}]: data and name must be texts.")
    try:
        return Upload(clean_name(name, index), base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise ProblemError(422, f"images[{index}]: data is not base64 (no data: URL).") from None


def clean_name(name: str, index: int) -> str:
    r"""Returns a harmless name to report a picture under; it is never used as a path."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(letter for letter in last if letter.isprintable())[:_NAME_CHARACTERS].strip()
    return kept if kept.strip(".") else f"image-{index + 1}"
