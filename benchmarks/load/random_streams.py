"""Hostile WebSockets: handshakes, frames and messages that are wrong, and clients that vanish.

For ``random_bodies.py``. Frames are made by hand, since a library sends no wrong ones.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

#: Makes bytes to send of a picture, or of what pretends to be one.
Message: TypeAlias = "Callable[[random.Random, bytes], bytes]"

QUERIES = (
    *[""] * 9, "?labels=hes3", "?include_map=true", "?top_k=1",
    "?min_face=-1", "?top_k=" + "9" * 50, "?%00=%ff", "?model=..", "?unknown=1",
)  # fmt: skip
_GOOD_HEADERS = {
    "Host": "x", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}  # fmt: skip
_COMPRESSED = {"Sec-WebSocket-Extensions": "permessage-deflate"}
_WRONG_HEADERS = (
    {"Sec-WebSocket-Version": "99"}, {"Sec-WebSocket-Key": "no"}, {"Sec-WebSocket-Key": ""},
    {"Origin": "https://evil.example"}, {"Connection": "close"}, {"Upgrade": "h2c"},
    {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=99"},
    _COMPRESSED, {"Sec-WebSocket-Protocol": "\x01,,"},
)  # fmt: skip
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
#: The close code by which a server says that it failed.
_FAULT = 1011


def frame(data: bytes, opcode: int = _BINARY, *, first: int = 0x80, mask: bool = True) -> bytes:
    """Returns a frame of RFC 6455; ``first`` has the bit of a message's end and those reserved."""
    size = len(data)
    short = size if size < 126 else 126 if size < 65_536 else 127
    head = bytes([first | opcode, (0x80 if mask else 0) | short])
    head += b"" if size < 126 else struct.pack(">H" if size < 65_536 else ">Q", size)
    return head + (bytes(4) + data if mask else data)


def huge(rng: random.Random, noise: bytes) -> bytes:
    """Returns the beginning of a frame that claims 34 megabytes up to exabytes."""
    return b"\x82\xff" + struct.pack(">Q", 2 ** rng.randrange(25, 63)) + bytes(4) + noise[:1000]


def fragments(rng: random.Random, noise: bytes) -> bytes:
    """Returns a message in pieces, with others between them, or without its end."""
    parts = [frame(noise[:50], rng.choice((_TEXT, _BINARY)), first=0)]
    parts += [frame(noise[:50], rng.choice((0, 0, _PING, _TEXT)), first=0) for _ in range(9)]
    return b"".join(parts) + rng.choice((b"", frame(b"", 0)))


def bomb() -> bytes:
    """Returns a message of 100 MB, compressed to 0.1 MB; only some streams allow it."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(100_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(packed.removesuffix(b"\0\0\xff\xff"), first=0xC0)


_BOMB = bomb()
#: What is sent once the stream is open.
MESSAGES: tuple[Message, ...] = (
    lambda _, noise: frame(noise),
    lambda rng, noise: frame(noise) * rng.randrange(2, 40),
    lambda *_: frame(b'{"frame": 1}', _TEXT),
    lambda _, noise: frame(b"\xff\xfe" + noise[:100], _TEXT),
    lambda _, noise: frame(noise, mask=False),
    lambda rng, noise: frame(noise[:100], rng.choice((3, 5, 7, 11, 15))),
    lambda rng, noise: frame(noise[:100], first=rng.choice((0xC0, 0xA0, 0x90, 0x70))),
    lambda rng, noise: frame(noise[:300], rng.choice((_PING, _PONG))),
    lambda rng, noise: frame(noise[: rng.randrange(200)], _CLOSE),
    lambda *_: frame(bytes(3_000_000)),
    lambda *_: _BOMB,
    huge,
    fragments,
)
#: As these, but nobody can say whether it is whole: the client leaves in the middle.
UNFINISHED: tuple[Message, ...] = (
    lambda rng, noise: frame(noise)[: rng.randrange(1, 12)],
    lambda *_: frame(bytes(2_000_000))[:-1],
    lambda _, noise: noise,
)


def attack(
    port: int,
    rng: random.Random,
    make: Callable[[random.Random], bytes],
    timeout_s: float = 30,
    *,
    message: Message | None = None,
) -> str:
    """Opens a stream with one of them in it, ``message`` or any; returns how it ended.

    ``make`` gives the bytes of a hostile or good picture. With a ``message`` all else is in order.
    The end is ``500`` (a status, where the handshake is refused), ``close 1003``, ``frame 503``,
    ``answered``, ``left``, ``cut``; nothing within ``timeout_s`` raises TimeoutError.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as raw:
        more = rng.choice(_WRONG_HEADERS) if rng.random() < 0.2 else {}
        more = more if message is None else _COMPRESSED
        query = rng.choice(QUERIES) if message is None else ""
        lines = [f"{name}: {value}" for name, value in {**_GOOD_HEADERS, **more}.items()]
        head = f"GET /v1/stream{query} HTTP/1.1\r\n" + "\r\n".join(lines)
        raw.sendall(head.encode() + b"\r\n\r\n")
        if message is None and rng.random() < 0.05:
            return "left"
        with raw.makefile("rb") as answer, contextlib.suppress(ConnectionError):
            status = answer.readline()[9:12].decode()
            if status != "101":
                return status or "cut"
            while answer.readline() not in (b"\r\n", b""):
                pass
            unfinished = message is None and rng.random() < 0.2
            chosen = message or rng.choice(UNFINISHED if unfinished else MESSAGES)
            with contextlib.suppress(ConnectionError):  # it may refuse while we send
                raw.sendall(chosen(rng, make(rng)))
            if unfinished or (message is None and rng.random() < 0.2):
                return "left"
            with contextlib.suppress(ConnectionError):
                raw.sendall(frame(b"no picture"))  # is answered where the stream goes on
            return _end(answer)
    return "cut"


def _end(answer: BinaryIO) -> str:
    """Reads to the first answer of a stream, or to its end."""
    while len(start := answer.read(2)) == 2:
        size, opcode = start[1] & 0x7F, start[0] & 0xF
        if size > 125:
            size = int.from_bytes(answer.read(2 if size == 126 else 8), "big")
        data = answer.read(size)
        if opcode == _CLOSE:
            return f"close {int.from_bytes(data[:2], 'big')}"
        if opcode == _TEXT:
            compressed = start[0] & 0x40
            error = None if compressed else json.loads(data).get("error")
            return f"frame {error['status']}" if error else "answered"
    return "cut"


def is_fault(end: str) -> bool:
    """Whether a service that ends a stream so has failed; 503 says that the queue is full."""
    status = int(end.rpartition(" ")[2]) if end[-1].isdigit() else 0
    return status == _FAULT or (500 <= status < 600 and status != 503)
