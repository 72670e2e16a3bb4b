"""Object stores through fsspec: addresses, their file systems, and errors that say what to do.

Credentials come from the environment or the machine's own role, as the store's library finds
them. None stands in an address, so none can reach a message, a job's file or a row.
"""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, InputError, MissingExtraError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Scheme of an address -> package that opens it.
PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
    "hdfs": "pyarrow",
    "memory": "fsspec",
}
_TRIES, _PAUSE_S = 3, 1.0
#: Seconds to wait for a connection and for an answer, and how often the library tries.
_S3_PATIENCE = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}


def is_address(word: str) -> bool:
    """Whether a word is an address of a store rather than a path.

    >>> is_address("s3://bucket/photos"), is_address("photos")
    (True, False)
    """
    return "://" in word


def check_address(address: str) -> str:
    """Returns an address that can be opened.

    Raises:
        ConfigError: If it holds a password, which the message does not repeat, or is of another
            kind of store.
    """
    scheme, _, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if (at and ":" in user) or "?" in rest:
        raise ConfigError(
            "holds a password or a signature, which would end up in results and logs",
            subject=f"an address {scheme}://...",
            hint="Leave it out, and set credentials in the environment.",
        )
    if scheme not in PACKAGES:
        raise ConfigError(f"{address}: {scheme}:// cannot be read." + suggest(scheme, PACKAGES))
    return address


def open_store(address: str) -> tuple[Any, str]:
    """Opens the file system of an address.

    Returns:
        The fsspec file system, and the path that it knows the address by.

    Raises:
        ConfigError: If the package that opens such addresses is not installed.
        MissingExtraError: If fsspec is not installed.
    """
    scheme = check_address(address).partition("://")[0]
    system = _file_system(scheme)
    return system, str(system._strip_protocol(address))


@cache
def _file_system(scheme: str) -> Any:
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("reading object stores", "jobs", "fsspec") from error
    options: dict[str, Any] = {"use_listings_cache": False} if scheme != "memory" else {}
    if scheme == "s3":
        options["config_kwargs"] = _S3_PATIENCE
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise ConfigError(
            f"{scheme}:// needs the package {PACKAGES[scheme]}, which is not installed",
            hint=f"Type: pip install {PACKAGES[scheme]}",
        ) from error


def _lost(error: BaseException) -> bool:
    """Whether a store did not answer at all, rather than refuse."""
    lost = (ConnectionError, TimeoutError)
    return isinstance(error, lost) or not isinstance(error, OSError) or "Connect" in repr(error)


@contextmanager
def store_answers(address: str, what: str) -> Iterator[None]:
    """Turns any error of a store's library into an InputError that names the address.

    Args:
        address: What was requested.
        what: What was to be done, as in ``"be listed"``.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            f"cannot {what}: there is nothing of that name", subject=address
        ) from error
    except PermissionError as error:
        raise InputError(
            f"cannot {what}: the store refuses ({_reason(error)})",
            subject=address,
            hint="Set credentials that may, in the environment.",
        ) from error
    except Exception as error:
        if isinstance(error, (ConfigError, InputError)):
            raise
        advice = "check the endpoint and the network" if _lost(error) else "check the address"
        raise InputError(f"cannot {what}: {_reason(error)}; {advice}", subject=address) from error


def _reason(error: BaseException) -> str:
    first = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return (first or type(error).__name__)[:300]


class Fetched(io.BytesIO):
    """The bytes of one object, with the name that messages call it by."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def fetch(address: str, *, max_bytes: int) -> Fetched | InputError:
    """Reads one object of a store, ``max_bytes`` and one at most, in one request.

    Returns:
        The object; if the store refuses it, the error, for the picture's row.

    Raises:
        InputError: If the store does not answer any more: no picture's fault, so the job stops.
    """
    system, path = open_store(address)
    for number in range(1, _TRIES + 1):
        try:
            return Fetched(system.cat_file(path, start=0, end=max_bytes + 1), address)
        except Exception as error:  # each store's library has exceptions of its own
            if not _lost(error):
                # An empty object has no first byte to give.
                if "InvalidRange" in repr(error) or "not satisfiable" in str(error):
                    return Fetched(b"", address)
                return InputError(f"cannot be read: {_reason(error)}", subject=address)
            if number == _TRIES:
                raise InputError(
                    f"cannot be read, the store does not answer: {_reason(error)}",
                    subject=address,
                    hint="Check the network and add --resume: what is finished stays.",
                ) from error
            time.sleep(_PAUSE_S * number)
    raise AssertionError  # pragma: no cover - the loop returns or raises
