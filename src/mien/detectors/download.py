"""Files that are fetched once: checked by size and sha256, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from mien.atomic import replacing
from mien.errors import ModelError

_CHUNK = 1 << 16


def cache_dir() -> Path:
    """Returns mien's cache folder, ``$MIEN_CACHE`` or the platform's place; it may be missing."""
    if chosen := os.environ.get("MIEN_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(base) / "mien" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mien"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien"


def fetch(
    url: str, *, sha256: str, size: int, name: str, advice: str, timeout_s: float = 30.0
) -> Path:
    """Returns the path of a pinned file, downloading it where the cache lacks it.

    A cached file is checked each time and fetched again if it is damaged. A download is written
    next to its place and renamed once it is whole and right; no byte over ``size`` is read. The
    digest makes ``http://`` safe too. ``advice`` is what to do without the download; a server may
    be silent for ``timeout_s``, and all may take four times that.
    """
    target = cache_dir() / name
    try:
        if target.is_file() and _digest(target.read_bytes()) == sha256:
            return target
        data = _download(url, size, timeout_s)
        if len(data) != size or _digest(data) != sha256:
            reason = (
                f"did not give the file expected: got {len(data):,} bytes with sha256 "
                f"{_digest(data)}, wanted {size:,} with {sha256}"
            )
            hint = f"Nothing was kept; something on the way may have changed it. {advice}"
            raise ModelError(reason, subject=url, hint=hint)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_bytes(data)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = f"cannot fetch {name} from {url} into {target.parent} ({error}). {advice}"
        raise ModelError(reason) from error
    return target


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _download(url: str, size: int, timeout_s: float) -> bytes:
    """Reads at most one byte more than expected, so that a longer file is noticed."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("only http and https addresses are fetched")
    deadline = time.monotonic() + 4 * timeout_s
    data = b""
    with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310 - checked above
        while len(data) <= size:
            chunk = response.read1(min(_CHUNK, size + 1 - len(data)))
            if not chunk:
                break
            data += chunk
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server took over {4 * timeout_s:g} s")
    return data
