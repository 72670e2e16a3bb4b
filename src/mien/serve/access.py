"""Who may call, and how often: API keys, of which only the sha256 is stored, and rates."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.serve.config import ServeConfig

#: An entry: ``SHA256`` or ``NAME:SHA256``; sha256sum prints a file's name, or ``-``, behind it.
_ENTRY = re.compile(r"(?:(.*):)?([0-9a-fA-F]{64})(?: [ *]\S+)?")


def load_keys(config: ServeConfig) -> dict[bytes, str]:
    """Reads the accepted keys: sha256 (32 bytes) of each, and its client's name, else ``key1``, ...

    A client may have several. Empty: no key is needed.
    """
    lines = list(config.api_keys)
    if config.api_keys_file:
        path = Path(config.api_keys_file)
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text"
            raise ConfigError(
                f"api_keys_file {path} cannot be read: {reason}",
                hint="It holds one sha256 per line; make one with: printf %s KEY | sha256sum",
            ) from error
        lines += [line.split("#")[0].strip() for line in content.splitlines()]
        if not any(lines):
            raise ConfigError(f"api_keys_file {path} holds no key: it would lock everybody out.")
    keys: dict[bytes, str] = {}
    for line in filter(None, lines):
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            # The line itself is not shown: it may be a key in clear.
            raise ConfigError(
                "an API key entry is not a sha256 (64 hex digits, or NAME:SHA256). "
                "Make one with: printf %s KEY | sha256sum"
            )
        keys[bytes.fromhex(entry[2])] = entry[1] or f"key{len(keys) + 1}"
    return keys


def find_client(keys: dict[bytes, str], headers: dict[bytes, bytes]) -> str | None:
    """Returns whose key the headers carry, in ``Authorization: Bearer`` or ``X-API-Key``, or None.

    Every stored hash is compared, so that the time tells nothing.
    """
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
    digest = hashlib.sha256(given).digest()
    found = None
    for expected, name in keys.items():
        if hmac.compare_digest(digest, expected):
            found = name
    return found


class RateLimit:
    """Lets each client make ``rate`` requests per second (0: any number), and ``burst`` at once.

    A burst of 0 is twice the rate, at least 1. Of more than ``most`` clients the one that was away
    longest is forgotten. ``clock`` gives seconds, monotonic.
    """

    def __init__(
        self,
        rate: float,
        burst: int = 0,
        *,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = float(burst or max(1, math.ceil(2 * rate)))
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Takes a token; returns 0, or how many seconds to wait for the next one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait
