"""API keys: only their sha256 is stored, and it is compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.serve.config import ServeConfig

_HASH = re.compile(r"[0-9a-f]{64}")


def load_keys(config: ServeConfig) -> dict[str, bytes]:
    """Reads the accepted keys.

    Returns:
        Name of the client (``key1``, ... where it has none) to the sha256 of its key, 32 bytes.
        Empty: no key is needed.

    Raises:
        ConfigError: If the file cannot be read or holds something else.
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
    keys: dict[str, bytes] = {}
    for line in filter(None, lines):
        name, _, digest = line.rpartition(":")
        if not _HASH.fullmatch(digest.lower()):
            # The line itself is not shown: it may be a key in clear.
            raise ConfigError(
                "an API key entry is not a sha256 (64 hex digits, or NAME:SHA256). "
                "Make one with: printf %s KEY | sha256sum"
            )
        keys[name or f"key{len(keys) + 1}"] = bytes.fromhex(digest)
    return keys


def find_client(keys: dict[str, bytes], headers: dict[bytes, bytes]) -> str | None:
    """Returns whose key the headers carry, or None.

    The key stands in ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``. Every stored hash is
    compared, so that the time tells nothing.

    >>> import hashlib
    >>> keys = {"ann": hashlib.sha256(b"secret").digest()}
    >>> find_client(keys, {b"x-api-key": b"secret"}), find_client(keys, {b"x-api-key": b"no"})
    ('ann', None)
    """
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    given = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
    digest = hashlib.sha256(given).digest()
    found = None
    for name, expected in keys.items():
        if hmac.compare_digest(digest, expected):
            found = name
    return found
